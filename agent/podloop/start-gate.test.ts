import { expect, test } from 'vitest';
import { StartGate } from './start-gate.js';

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('containers of pods under way go before new sandboxes; within each, first come first served', async () => {
  const gate = new StartGate(1);
  const order: string[] = [];
  let open = (): void => {};
  const first = gate.run('sandbox', () => new Promise<void>((resolve) => (open = resolve)), never);
  const add = (what: 'sandbox' | 'container', name: string): Promise<void> =>
    gate.run(what, async () => void order.push(name), never);
  const rest = [add('sandbox', 's2'), add('sandbox', 's3'), add('container', 'c1'), add('container', 'c2')];
  await turn();
  open();
  await Promise.all([first, ...rest]);
  expect(order).toEqual(['c1', 'c2', 's2', 's3']);
});

test('one that gives up while waiting leaves the gate usable', async () => {
  const gate = new StartGate(1);
  const abort = new AbortController();
  let open = (): void => {};
  const first = gate.run('sandbox', () => new Promise<void>((resolve) => (open = resolve)), never);
  const second = gate.run('sandbox', () => Promise.resolve(), abort.signal);
  abort.abort(new Error('deleted'));
  await expect(second).rejects.toThrow('deleted');
  open();
  await first;
  expect(await gate.run('container', () => Promise.resolve('in'), never)).toBe('in');
});
