import type { FilesystemLayout, NodeFilesystems, NodeSnapshot } from '../stats/index.js';

export type EvictionSignal =
  | 'memory.available'
  | 'allocatableMemory.available'
  | 'nodefs.available'
  | 'nodefs.inodesFree'
  | 'imagefs.available'
  | 'imagefs.inodesFree'
  | 'containerfs.available'
  | 'containerfs.inodesFree'
  | 'pid.available';

export type PressureCondition = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure';
/** What a signal is short of, in the words of events and messages. */
export type StarvedResource = 'memory' | 'ephemeral-storage' | 'inodes' | 'pids';

export interface Observation {
  /** Bytes, inodes or process ids. */
  readonly available: number;
  readonly capacity: number;
}

export type Observations = ReadonlyMap<EvictionSignal, Observation>;

interface SignalFacts {
  readonly condition: PressureCondition;
  readonly resource: StarvedResource;
}

const disk: SignalFacts = { condition: 'DiskPressure', resource: 'ephemeral-storage' };
const inodes: SignalFacts = { condition: 'DiskPressure', resource: 'inodes' };
const memory: SignalFacts = { condition: 'MemoryPressure', resource: 'memory' };

export const signalFacts: Readonly<Record<EvictionSignal, SignalFacts>> = {
  'memory.available': memory,
  'allocatableMemory.available': memory,
  'nodefs.available': disk,
  'nodefs.inodesFree': inodes,
  'imagefs.available': disk,
  'imagefs.inodesFree': inodes,
  'containerfs.available': disk,
  'containerfs.inodesFree': inodes,
  'pid.available': { condition: 'PIDPressure', resource: 'pids' },
};

export function isEvictionSignal(name: string): name is EvictionSignal {
  return Object.hasOwn(signalFacts, name);
}

/** Every signal the machine can tell, from one look at it. `kubepodsLimit` is the memory all pods together may use where
 * their cgroup has no limit. */
export function observeSignals(
  snapshot: NodeSnapshot,
  filesystems: NodeFilesystems,
  memoryBytes: number,
  kubepodsLimit: number,
): Observations {
  const found = new Map<EvictionSignal, Observation>();
  const { memory: used } = snapshot.node;
  if (used)
    found.set('memory.available', { available: Math.max(memoryBytes - used.workingSet, 0), capacity: memoryBytes });
  const pods = snapshot.system.find(({ name }) => name === 'pods')?.usage.memory;
  if (pods) {
    const capacity = pods.limit ?? kubepodsLimit;
    found.set('allocatableMemory.available', { available: Math.max(capacity - pods.workingSet, 0), capacity });
  }
  const { nodefs, imagefs, layout } = filesystems;
  const containerfs = containerFilesystem(layout) === 'nodefs' ? nodefs : imagefs;
  for (const [name, usage] of [
    ['nodefs', nodefs],
    ['imagefs', imagefs],
    ['containerfs', containerfs],
  ] as const) {
    if (!usage) continue;
    found.set(`${name}.available`, { available: usage.availableBytes, capacity: usage.capacityBytes });
    // A filesystem without a fixed number of inodes (btrfs) says 0 of 0.
    if (usage.inodes > 0) found.set(`${name}.inodesFree`, { available: usage.inodesFree, capacity: usage.inodes });
  }
  const { maxPid, processes } = snapshot.rlimit;
  if (Number.isFinite(maxPid))
    found.set('pid.available', { available: Math.max(maxPid - processes, 0), capacity: maxPid });
  return found;
}

/** The filesystem writable layers lie on. */
export function containerFilesystem(layout: FilesystemLayout): 'nodefs' | 'imagefs' {
  return layout === 'imagefs' ? 'imagefs' : 'nodefs';
}
