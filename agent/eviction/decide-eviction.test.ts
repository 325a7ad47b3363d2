import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Pod } from '../api/index.js';
import { decideEviction, freshMemory, nodeReclaims } from './decide-eviction.js';
import { mebi, podOf, settings, observed, input } from './eviction-fixtures.js';
import { EvictionPods } from './eviction-pod.js';
import { parseThresholds } from './thresholds.js';

describe('decision', () => {
  const hard = parseThresholds(
    settings({
      evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%' },
      evictionMinimumReclaim: { 'memory.available': '50Mi' },
    }),
    false,
  );

  test('nothing is done while everything is within its threshold', () => {
    const decision = decideEviction(
      input({ thresholds: hard, observations: observed({ 'memory.available': [100 * mebi, 1000 * mebi] }) }),
    );
    expect(decision.starvation).toBeUndefined();
    expect([...decision.conditions]).toEqual([]);
  });

  test('memory goes before disk, and a critical pod is passed over', () => {
    const pods = [podOf('critical', { memory: 900 * mebi, critical: true }), podOf('hog', { memory: 50 * mebi })];
    const decision = decideEviction(
      input({
        thresholds: hard.toReversed(),
        pods,
        observations: observed({ 'memory.available': [99 * mebi, 1000 * mebi], 'nodefs.available': [1, 100] }),
      }),
    );
    expect(decision.starvation?.crossed.threshold.signal).toBe('memory.available');
    expect(decision.starvation?.victim?.pod.name).toBe('hog');
    expect([...decision.conditions].sort()).toEqual(['DiskPressure', 'MemoryPressure']);
  });

  test('once crossed, it stays so until the minimum reclaim is there as well', () => {
    const at = (available: number, memory = freshMemory): ReturnType<typeof decideEviction> =>
      decideEviction(
        input({
          thresholds: hard,
          memory,
          observations: observed({ 'memory.available': [available * mebi, 1000 * mebi] }),
        }),
      );
    const first = at(99);
    expect(at(120).crossed).toEqual([]);
    expect(at(120, first.memory).crossed).toHaveLength(1);
    expect(at(150, first.memory).crossed).toEqual([]);
  });

  test('a soft threshold that mends itself before its grace is over needs no minimum reclaim', () => {
    const thresholds = parseThresholds(
      settings({
        evictionSoft: { 'memory.available': '100Mi' },
        evictionSoftGracePeriodMs: { 'memory.available': 60_000 },
        evictionMinimumReclaim: { 'memory.available': '50Mi' },
      }),
      false,
    );
    const at = (available: number, now: number, memory = freshMemory): ReturnType<typeof decideEviction> =>
      decideEviction(
        input({
          thresholds,
          memory,
          now,
          pods: [podOf('a')],
          observations: observed({ 'memory.available': [available * mebi, 1000 * mebi] }),
        }),
      );
    const dip = at(99, 1_000_000);
    const mended = at(120, 1_010_000, dip.memory);
    expect(mended.crossed).toEqual([]);
    expect(at(120, 1_070_000, mended.memory).starvation).toBeUndefined();
    // Once a pod had to go for it, what it freed must be enough.
    const due = at(99, 1_060_000, dip.memory);
    expect(due.starvation?.victim?.pod.name).toBe('a');
    expect(at(120, 1_070_000, due.memory).starvation?.victim?.pod.name).toBe('a');
    expect(at(150, 1_070_000, due.memory).crossed).toEqual([]);
  });

  test('a soft threshold tells its pressure at once and acts after its grace', () => {
    const thresholds = parseThresholds(
      settings({
        evictionSoft: { 'memory.available': '1Gi' },
        evictionSoftGracePeriodMs: { 'memory.available': 60_000 },
      }),
      false,
    );
    const observations = observed({ 'memory.available': [0, 2 ** 31] });
    const first = decideEviction(input({ thresholds, observations, pods: [podOf('a')] }));
    expect([...first.conditions]).toEqual(['MemoryPressure']);
    expect(first.starvation).toBeUndefined();
    const at = (now: number): boolean =>
      decideEviction(input({ thresholds, observations, pods: [podOf('a')], memory: first.memory, now })).starvation !==
      undefined;
    expect(at(1_059_999)).toBe(false);
    expect(at(1_060_000)).toBe(true);
  });

  test('a pressure is told until the transition period after it was last felt', () => {
    const bad = observed({ 'memory.available': [0, 1000 * mebi] });
    const good = observed({ 'memory.available': [900 * mebi, 1000 * mebi] });
    const { memory } = decideEviction(input({ thresholds: hard, observations: bad }));
    const at = (now: number): number =>
      decideEviction(input({ thresholds: hard, observations: good, memory, now })).conditions.size;
    expect(at(1_299_999)).toBe(1);
    expect(at(1_300_000)).toBe(0);
  });

  test.each([
    ['memory.available', 'one', []],
    ['nodefs.available', 'one', ['dead-containers', 'unused-images']],
    ['nodefs.available', 'imagefs', []],
    ['imagefs.inodesFree', 'imagefs', ['dead-containers', 'unused-images']],
    ['nodefs.available', 'split', ['dead-containers']],
    ['imagefs.available', 'split', ['unused-images']],
    ['containerfs.available', 'imagefs', ['dead-containers', 'unused-images']],
  ] as const)('%s, layout %s: the node first gives back %j', (signal, layout, expected) => {
    expect(nodeReclaims(signal, layout)).toEqual(expected);
  });

  test('the victim is never critical, and nobody before it in the order could have gone', () => {
    const pod = fc.record({
      memory: fc.nat(1000),
      memoryRequest: fc.nat(1000),
      priority: fc.integer({ min: -5, max: 5 }),
      critical: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(pod, { maxLength: 30 }), (drawn) => {
        const pods = drawn.map((each, n) => podOf(`p${n}`, each));
        const { starvation } = decideEviction(
          input({ thresholds: hard, pods, observations: observed({ 'memory.available': [0, 1000 * mebi] }) }),
        );
        const at = starvation?.ranked.findIndex((each) => each === starvation.victim) ?? -1;
        if (starvation?.victim) expect(starvation.victim.pod.critical).toBe(false);
        else expect(pods.every((each) => each.critical)).toBe(true);
        for (const before of starvation?.ranked.slice(0, Math.max(at, 0)) ?? []) expect(before.pod.critical).toBe(true);
      }),
    );
  });

  test('500 pods are decided over in less than 5 ms', () => {
    const specs = Array.from({ length: 500 }, (_, n): Pod => ({
      metadata: { name: `p${n}`, namespace: 'n', uid: `u${n}` },
      spec: { priority: n % 3, containers: [{ name: 'c', resources: { requests: { memory: `${n}Mi`, cpu: '1m' } } }] },
    }));
    const builder = new EvictionPods();
    const files = { rootfs: new Map(), logs: new Map(), volumes: [] };
    const decide = (): void => {
      const pods = specs.map((spec) => builder.of(spec, undefined, files));
      decideEviction(
        input({ thresholds: hard, pods, observations: observed({ 'memory.available': [0, 1000 * mebi] }) }),
      );
    };
    decide();
    const times = Array.from({ length: 20 }, () => {
      const start = performance.now();
      decide();
      return performance.now() - start;
    });
    expect(Math.min(...times)).toBeLessThan(5);
  });
});
