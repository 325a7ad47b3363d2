import type { PodUid } from '../api/index.js';
import { freshMemory, type EvictionInput } from './decide-eviction.js';
import type { EvictionPod } from './eviction-pod.js';
import type { EvictionSignal, Observation } from './signals.js';
import type { EvictionSettings } from './thresholds.js';

// For the tests of evictions: pods by what they use, and a node by what it has left.

export const mebi = 2 ** 20;

export function podOf(
  name: string,
  more: Partial<Omit<EvictionPod, 'usage'>> & {
    memory?: number;
    processes?: number;
    rootfs?: number;
    logs?: number;
    volumes?: number;
  } = {},
): EvictionPod {
  const { memory = 0, processes = 1, rootfs = 0, logs = 0, volumes = 0, ...rest } = more;
  return {
    uid: name as PodUid,
    namespace: 'n',
    name,
    qos: 'Burstable',
    priority: 0,
    critical: false,
    graceSeconds: 30,
    memoryRequest: 0,
    storageRequest: 0,
    usage: {
      memory,
      processes,
      rootfs: { bytes: rootfs, inodes: 0 },
      logs: { bytes: logs, inodes: 0 },
      volumes: { bytes: volumes, inodes: 0 },
    },
    containers: [],
    ...rest,
  };
}

export const settings = (more: Partial<EvictionSettings> = {}): EvictionSettings => ({
  evictionHard: {},
  evictionSoft: {},
  evictionSoftGracePeriodMs: {},
  evictionMinimumReclaim: {},
  mergeDefaultEvictionSettings: false,
  ...more,
});

export const observed = (
  entries: Partial<Record<EvictionSignal, readonly [number, number]>>,
): Map<EvictionSignal, Observation> =>
  new Map(
    Object.entries(entries).map(([signal, [available, capacity]]) => [
      signal as EvictionSignal,
      { available, capacity },
    ]),
  );

export const input = (more: Partial<EvictionInput>): EvictionInput => ({
  observations: new Map(),
  thresholds: [],
  pods: [],
  layout: 'one',
  memory: freshMemory,
  transitionMs: 300_000,
  now: 1_000_000,
  ...more,
});
