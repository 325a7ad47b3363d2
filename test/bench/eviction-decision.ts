import { podUidOf, type Pod, type PodUid } from '../../agent/api/index.js';
import {
  decideEviction,
  EvictionPods,
  freshMemory,
  parseThresholds,
  type EvictionSignal,
  type Observation,
} from '../../agent/eviction/index.js';
import type { PodUsage } from '../../agent/stats/index.js';
import { benchRow, cheapestCpuMs, type BenchRow } from './measure.js';

const podCount = 500;
const targetMs = 5;
const mebi = 2 ** 20;
const noFiles = { rootfs: new Map(), logs: new Map(), volumes: [] };

function podOf(index: number): Pod {
  const memory = `${(index * 37) % 200}Mi`;
  return {
    metadata: { name: `pod-${index}`, namespace: 'default', uid: `uid-${index}` as PodUid },
    spec: {
      priority: index % 7,
      containers: ['a', 'b'].map((name) => ({ name, image: 'x', resources: { requests: { memory } } })),
    },
  };
}

function usageOf(pod: Pod, index: number): PodUsage {
  const uid = podUidOf(pod);
  const name = pod.metadata?.name ?? '';
  const memory = {
    ...{ usage: 0, workingSet: ((index * 61) % 400) * mebi, rss: 0, cache: 0, mappedFile: 0 },
    activeFile: 0,
    inactiveFile: 0,
    ...{ pageFaults: 0, majorPageFaults: 0, limit: undefined, failures: undefined },
  };
  const none = {
    cpu: undefined,
    swap: undefined,
    threads: index % 30,
    processes: undefined,
    pressure: undefined,
    oomKills: undefined,
  };
  const monitored = { uid, namespace: 'default', name, startedAt: 0, cgroup: `/${uid}` };
  return {
    pod: { ...monitored, hostNetwork: false, cpuLimited: false, containers: [] },
    usage: { at: 0, memory, ...none },
    containers: [],
    network: undefined,
  };
}

/** From what was measured of 500 pods to who has to go, pods seen for the first time and pods known from the look before. */
export function benchEvictionDecision(): BenchRow[] {
  const pods = Array.from({ length: podCount }, (_, index) => podOf(index));
  const usages = pods.map(usageOf);
  const settings = { evictionSoft: {}, evictionSoftGracePeriodMs: {}, evictionMinimumReclaim: {} };
  const thresholds = parseThresholds(
    { ...settings, evictionHard: undefined, mergeDefaultEvictionSettings: false },
    true,
  );
  const observations = new Map<EvictionSignal, Observation>([
    ['memory.available', { available: 50 * mebi, capacity: 2 ** 34 }],
    ['nodefs.available', { available: 1, capacity: 2 ** 40 }],
  ]);
  const decide = (known: EvictionPods): void => {
    const measured = pods.map((pod, index) => known.of(pod, usages[index], noFiles));
    const input = { observations, thresholds, pods: measured, layout: 'one' as const, memory: freshMemory };
    const { starvation } = decideEviction({ ...input, transitionMs: 300_000, now: 1000 });
    if (!starvation?.victim) throw new Error('nobody would be evicted');
  };
  const known = new EvictionPods();
  const again = cheapestCpuMs(() => decide(known));
  const first = cheapestCpuMs(() => decide(new EvictionPods()));
  return [
    benchRow(`eviction decision over ${podCount} pods, CPU`, again, targetMs),
    benchRow(`the same, pods never seen before`, first, targetMs),
  ];
}
