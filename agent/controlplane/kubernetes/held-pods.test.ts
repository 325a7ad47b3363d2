import { expect, test } from 'vitest';
import type { Node, Pod } from '../../api/index.js';
import { HeldPods } from './held-pods.js';

function world() {
  let labels: Record<string, string> = { zone: 'a' };
  let answer = (): void => {};
  const passed: Pod[] = [];
  const asked: number[] = [];
  const held = new HeldPods({
    nodeName: 'n1',
    node: (): Node => ({ metadata: { name: 'n1', labels } }),
    refresh: () => {
      asked.push(1);
      return new Promise((resolve) => {
        answer = (): void => resolve();
      });
    },
    pass: (pod) => passed.push(pod),
  });
  const label = (next: Record<string, string>): void => void (labels = next);
  return { held, passed, asked, label, answer: () => answer() };
}

const pod = (uid: string, zone: string, resourceVersion = '1'): Pod => ({
  metadata: { name: uid, uid, resourceVersion },
  spec: { nodeSelector: { zone }, containers: [] },
});

test('a pod that belongs here, or is known, is not held', () => {
  const { held, asked } = world();
  expect(held.hold(pod('a', 'a'), true)).toBe(false);
  expect(held.hold(pod('b', 'other'), false)).toBe(false);
  expect(asked).toEqual([]);
});

test('one that does not seem to waits for one look at the node and is passed on in its newest version', async () => {
  const { held, passed, asked, label, answer } = world();
  expect(held.hold(pod('a', 'b'), true)).toBe(true);
  expect(held.hold(pod('a', 'b', '2'), true)).toBe(true);
  expect(asked).toHaveLength(1);
  label({ zone: 'b' });
  answer();
  await new Promise(setImmediate);
  expect(passed.map(({ metadata }) => metadata?.resourceVersion)).toEqual(['2']);
  expect(held.hold(pod('a', 'b', '3'), false)).toBe(false);
});

test.each(['forget', 'clear'] as const)('what went meanwhile is not passed on (%s)', async (how) => {
  const { held, passed, answer } = world();
  const waiting = pod('a', 'b');
  held.hold(waiting, true);
  held[how](waiting);
  answer();
  await new Promise(setImmediate);
  expect(passed).toEqual([]);
});
