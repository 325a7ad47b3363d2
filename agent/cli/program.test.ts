import { expect, test } from 'vitest';
import { buildProgram } from './program.js';

const nothing = (): Promise<void> => Promise.resolve();
const namesOf = (word?: string): string[] =>
  buildProgram({ client: nothing, alone: nothing }, word).program.commands.map((command) => command.name());

test('every command is found by its own name alone', () => {
  const all = namesOf();
  for (const name of all) expect(namesOf(name), name).toContain(name);
  expect(namesOf('get').length).toBeLessThan(all.length);
  expect(namesOf('nonsense')).toEqual(all);
});
