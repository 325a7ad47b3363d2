import { describe, expect, test } from 'vitest';
import { podOf } from './eviction-fixtures.js';
import type { EvictionPod } from './eviction-pod.js';
import { rankPods } from './rank-pods.js';
import type { EvictionSignal } from './signals.js';

describe('ranking', () => {
  const names = (
    pods: readonly EvictionPod[],
    signal: EvictionSignal,
    layout: 'one' | 'imagefs' | 'split' = 'one',
  ): string[] => rankPods(pods, signal, layout).map(({ pod }) => pod.name);

  test('memory: over the request first, then priority, then by how much it is over', () => {
    const pods = [
      podOf('within', { memory: 900, memoryRequest: 1000 }),
      podOf('important', { memory: 5000, memoryRequest: 0, priority: 10 }),
      podOf('over-a-little', { memory: 110, memoryRequest: 100 }),
      podOf('over-a-lot', { memory: 500, memoryRequest: 100 }),
      { ...podOf('unknown'), usage: undefined },
    ];
    expect(names(pods, 'memory.available')).toEqual(['unknown', 'over-a-lot', 'over-a-little', 'important', 'within']);
  });

  test('pids: priority, then processes', () => {
    const pods = [
      podOf('few', { processes: 2 }),
      podOf('important', { processes: 99, priority: 1 }),
      podOf('bomb', { processes: 50 }),
    ];
    expect(names(pods, 'pid.available')).toEqual(['bomb', 'few', 'important']);
  });

  test.each([
    ['one', 'nodefs.available', ['layer', 'log', 'volume']],
    ['imagefs', 'nodefs.available', ['log', 'volume', 'layer']],
    ['imagefs', 'imagefs.available', ['layer', 'volume', 'log']],
    ['split', 'containerfs.available', ['layer', 'log', 'volume']],
  ] as const)('disk, layout %s, %s: what lies there counts', (layout, signal, expected) => {
    const pods = [podOf('volume', { volumes: 1 }), podOf('log', { logs: 2 }), podOf('layer', { rootfs: 3 })];
    expect(names(pods, signal, layout)).toEqual(expected);
  });
});
