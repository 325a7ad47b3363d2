import { expect, test } from 'vitest';
import { conditionEvents, cordonEvent, rebootEvent } from './node-events.js';

const ready = (status: 'True' | 'False'): { type: string; status: 'True' | 'False' } => ({ type: 'Ready', status });

test('a node tells what changed, in the words of a kubelet', () => {
  const pressure = { type: 'MemoryPressure', status: 'False' } as const;
  const reasons = (...args: Parameters<typeof conditionEvents>): string[] =>
    conditionEvents(...args).map((e) => e.reason);
  expect(reasons('n', undefined, { conditions: [pressure, ready('True')] })).toEqual([
    'NodeHasSufficientMemory',
    'NodeReady',
  ]);
  expect(reasons('n', { conditions: [pressure, ready('True')] }, { conditions: [pressure, ready('False')] })).toEqual([
    'NodeNotReady',
  ]);
  expect(reasons('n', { conditions: [ready('True')] }, { conditions: [ready('True')] })).toEqual([]);
});

test('another boot id is a reboot, an unknown one is not', () => {
  const known = { status: { nodeInfo: { bootID: 'a' } } } as never;
  expect(rebootEvent('n', known, 'b')).toEqual([
    { type: 'Warning', reason: 'Rebooted', message: 'Node n has been rebooted, boot id: b' },
  ]);
  expect(rebootEvent('n', known, 'a')).toEqual([]);
  expect(rebootEvent('n', undefined, 'a')).toEqual([]);
});

test('a cordon is told once it changes', () => {
  expect(cordonEvent('n', undefined, true)).toEqual([]);
  expect(cordonEvent('n', false, true)[0]?.reason).toBe('NodeNotSchedulable');
  expect(cordonEvent('n', true, false)[0]?.reason).toBe('NodeSchedulable');
});
