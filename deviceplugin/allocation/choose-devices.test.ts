import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Device } from '../devices/device.js';
import { chooseDevices, type ChooseInput } from './choose-devices.js';

const device = (id: string, ...numaNodes: number[]): Device => ({ id, healthy: true, numaNodes });
const sick = (id: string): Device => ({ id, healthy: false, numaNodes: [] });
const listOf = (...devices: Device[]): ChooseInput['devices'] => new Map(devices.map((d) => [d.id, d]));

const base: ChooseInput = {
  count: 1,
  devices: listOf(device('a'), device('b'), device('c'), device('d')),
  inUse: new Set(),
  reusable: new Set(),
  affinity: undefined,
  preferred: 'none',
};

const numa = listOf(
  device('a0', 0),
  device('b1', 1),
  device('c1', 1),
  device('d'),
  device('e0', 0),
  device('f01', 0, 1),
);

test.each<[string, Partial<ChooseInput>, ReturnType<typeof chooseDevices>]>([
  ['the first free one', { inUse: new Set(['a']) }, { kind: 'chosen', ids: ['b'] }],
  ['never a sick one', { devices: listOf(sick('a'), device('b')) }, { kind: 'chosen', ids: ['b'] }],
  [
    'none when too few are free and healthy',
    { count: 2, devices: listOf(sick('a'), device('b'), device('c')), inUse: new Set(['c']) },
    { kind: 'short', requested: 2, available: 1 },
  ],
  [
    'those of init containers first',
    { count: 2, inUse: new Set(['c', 'a']), reusable: new Set(['c']) },
    { kind: 'chosen', ids: ['c', 'b'] },
  ],
  [
    'no more reused ones than wanted',
    { count: 1, inUse: new Set(['a', 'c']), reusable: new Set(['a', 'c']) },
    { kind: 'chosen', ids: ['a'] },
  ],
  [
    'not a reused one that fell ill',
    { devices: listOf(sick('a'), device('b')), inUse: new Set(['a']), reusable: new Set(['a']) },
    { kind: 'chosen', ids: ['b'] },
  ],
  ['what the plugin prefers', { count: 2, preferred: ['d', 'b'] }, { kind: 'chosen', ids: ['b', 'd'] }],
  ['and fills up when it prefers too few', { count: 2, preferred: ['d'] }, { kind: 'chosen', ids: ['d', 'a'] }],
  [
    'nothing the plugin made up or that is taken',
    { count: 2, preferred: ['x', 'a'], inUse: new Set(['a']) },
    { kind: 'chosen', ids: ['b', 'c'] },
  ],
  ['aligned ones first', { count: 2, devices: numa, affinity: [1] }, { kind: 'chosen', ids: ['b1', 'c1'] }],
  [
    'all aligned ones, then those with another node, then those without',
    { count: 6, devices: numa, affinity: [1] },
    { kind: 'chosen', ids: ['b1', 'c1', 'f01', 'a0', 'e0', 'd'] },
  ],
  [
    'the plugin chooses among the aligned ones',
    { count: 2, devices: numa, affinity: [1], preferred: ['a0', 'f01', 'c1'] },
    { kind: 'chosen', ids: ['c1', 'f01'] },
  ],
])('takes %s', (_name, input, expected) => {
  expect(chooseDevices({ ...base, ...input })).toEqual(expected);
});

describe('asks the plugin', () => {
  test('with what is taken already and all that is left', () => {
    expect(
      chooseDevices({
        ...base,
        count: 2,
        inUse: new Set(['a', 'b']),
        reusable: new Set(['a']),
        preferred: 'not-asked',
      }),
    ).toEqual({ kind: 'ask', available: ['a', 'c', 'd'], mustInclude: ['a'], size: 2 });
  });

  test('only about aligned ones when these suffice', () => {
    expect(chooseDevices({ ...base, devices: numa, affinity: [0], count: 2, preferred: 'not-asked' })).toEqual({
      kind: 'ask',
      available: ['a0', 'e0', 'f01'],
      mustInclude: [],
      size: 2,
    });
  });

  test('not when there is no choice', () => {
    expect(chooseDevices({ ...base, count: 4, preferred: 'not-asked' }).kind).toBe('chosen');
  });
});

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const anyInput = fc.record({
  count: fc.integer({ min: 1, max: 8 }),
  devices: fc
    .array(
      fc.record({
        id: fc.constantFrom(...ids),
        healthy: fc.boolean(),
        numaNodes: fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
      }),
    )
    .map((list) => listOf(...list)),
  inUse: fc.uniqueArray(fc.constantFrom(...ids)).map((list) => new Set(list)),
  reusable: fc.uniqueArray(fc.constantFrom(...ids)).map((list) => new Set(list)),
  affinity: fc.option(fc.uniqueArray(fc.integer({ min: 0, max: 3 })), { nil: undefined }),
  preferred: fc.oneof(fc.constant('none' as const), fc.array(fc.constantFrom(...ids, 'made-up'))),
});

test('whatever is asked: exactly as many, each once, healthy, and free or reused', () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const choice = chooseDevices(input);
      const usable = [...input.devices.values()].filter(
        (d) => d.healthy && (input.reusable.has(d.id) || !input.inUse.has(d.id)),
      );
      if (choice.kind !== 'chosen') {
        expect(choice.kind).toBe('short');
        expect(usable.length).toBeLessThan(input.count);
        return;
      }
      expect(new Set(choice.ids).size).toBe(input.count);
      for (const id of choice.ids) expect(usable.map((d) => d.id)).toContain(id);
      const reused = usable.filter((d) => input.reusable.has(d.id)).length;
      expect(choice.ids.filter((id) => input.reusable.has(id)).length).toBe(Math.min(reused, input.count));
    }),
  );
});
