import type { FilesystemLayout } from '../stats/index.js';
import type { DiskAmount, EvictionContainer, EvictionPod } from './eviction-pod.js';
import { signalFacts, type EvictionSignal } from './signals.js';

export type DiskPart = 'rootfs' | 'logs' | 'volumes';

/** What of a pod lies on the filesystem a signal is about. */
export function diskParts(signal: EvictionSignal, layout: FilesystemLayout): readonly DiskPart[] {
  const everything: readonly DiskPart[] = ['rootfs', 'logs', 'volumes'];
  const [filesystem] = signal.split('.');
  switch (layout) {
    case 'one':
      return everything;
    case 'imagefs':
      return filesystem === 'nodefs' ? ['logs', 'volumes'] : ['rootfs'];
    case 'split':
      return filesystem === 'imagefs' ? [] : everything;
  }
}

/** One pod with the numbers its place follows from. */
export interface RankedPod {
  readonly pod: EvictionPod;
  /** Undefined while nothing was measured. */
  readonly usage: number | undefined;
  readonly request: number;
  readonly overRequest: boolean;
}

/** In the order they would go (facts 4.4). Critical pods are in it as well; whoever evicts passes over them. */
export function rankPods(
  pods: readonly EvictionPod[],
  signal: EvictionSignal,
  layout: FilesystemLayout,
): readonly RankedPod[] {
  const { resource } = signalFacts[signal];
  const parts = diskParts(signal, layout);
  const ranked = pods.map((pod): RankedPod => {
    const usage = usageOf(pod, resource, parts);
    const request = requestOf(pod, resource);
    return { pod, usage, request, overRequest: usage !== undefined && usage > request };
  });
  const byRequest = resource !== 'pids';
  return ranked.sort((a, b) => {
    const unknown = Number(b.usage === undefined) - Number(a.usage === undefined);
    if (byRequest && unknown !== 0) return unknown;
    if (byRequest && a.overRequest !== b.overRequest) return a.overRequest ? -1 : 1;
    if (a.pod.priority !== b.pod.priority) return a.pod.priority - b.pod.priority;
    if (unknown !== 0) return unknown;
    return (b.usage ?? 0) - b.request - ((a.usage ?? 0) - a.request);
  });
}

function usageOf(pod: EvictionPod, resource: string, parts: readonly DiskPart[]): number | undefined {
  const { usage } = pod;
  if (!usage) return undefined;
  if (resource === 'memory') return usage.memory;
  if (resource === 'pids') return usage.processes;
  return diskTotal(usage, parts, resource === 'inodes');
}

/** Nobody requests inodes or processes. */
function requestOf(pod: EvictionPod, resource: string): number {
  if (resource === 'memory') return pod.memoryRequest;
  return resource === 'ephemeral-storage' ? pod.storageRequest : 0;
}

function diskTotal(
  of: Readonly<Partial<Record<DiskPart, DiskAmount>>>,
  parts: readonly DiskPart[],
  inodes: boolean,
): number {
  return parts.reduce((sum, part) => sum + (inodes ? (of[part]?.inodes ?? 0) : (of[part]?.bytes ?? 0)), 0);
}

/** A container's part in what is short of memory or disk, for the message. */
export function containerAmounts(
  container: EvictionContainer,
  signal: EvictionSignal,
  layout: FilesystemLayout,
): { readonly usage: number; readonly request: number } {
  const { memory, memoryRequest, storageRequest, rootfs, logs } = container;
  if (signalFacts[signal].resource === 'memory') return { usage: memory, request: memoryRequest };
  return { usage: diskTotal({ rootfs, logs }, diskParts(signal, layout), false), request: storageRequest };
}
