import { expect, test } from 'vitest';
import { Turns } from './turns.js';

test('whoever waits for something else comes between two turns, and the turns keep their order', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const other = async (name: string): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 0));
    seen.push(name);
  };
  const work = ['a', 'b', 'c'].map(async (name) => {
    await turns.next();
    seen.push(name);
    // What takes long, before anything else may run.
    const until = performance.now() + 5;
    while (performance.now() < until);
    if (name === 'a') void other('timer');
  });
  await Promise.all(work);
  expect(seen).toContain('timer');
  expect(seen.filter((name) => name !== 'timer')).toEqual(['a', 'b', 'c']);
  expect(seen.indexOf('timer')).toBeLessThan(seen.indexOf('c'));
});
