import type { FilesystemLayout } from '../stats/index.js';
import type { EvictionPod } from './eviction-pod.js';
import { rankPods, type RankedPod } from './rank-pods.js';
import {
  containerFilesystem,
  signalFacts,
  type EvictionSignal,
  type Observation,
  type Observations,
  type PressureCondition,
} from './signals.js';
import { amountOf, withContainerfs, type Threshold } from './thresholds.js';

/** What one look leaves for the next. */
export interface EvictionMemory {
  /** Since when each threshold is crossed without a break, by `thresholdKey`. */
  readonly crossedSince: ReadonlyMap<string, number>;
  /** Those whose grace was over: something was done for them. */
  readonly due: ReadonlySet<string>;
  /** When each pressure was last felt. */
  readonly lastPressure: ReadonlyMap<PressureCondition, number>;
}

export const freshMemory: EvictionMemory = { crossedSince: new Map(), due: new Set(), lastPressure: new Map() };

export interface EvictionInput {
  readonly observations: Observations;
  readonly thresholds: readonly Threshold[];
  readonly pods: readonly EvictionPod[];
  readonly layout: FilesystemLayout;
  readonly memory: EvictionMemory;
  readonly transitionMs: number;
  readonly now: number;
}

export interface CrossedThreshold {
  readonly threshold: Threshold;
  readonly observed: Observation;
  /** What should be available at least. */
  readonly wanted: number;
  /** With what is to be reclaimed at least once it is crossed. */
  readonly target: number;
  readonly since: number;
  /** Its grace is over: something is to be done. */
  readonly due: boolean;
}

/** What the node itself can give back before a pod must go. */
export type NodeReclaim = 'dead-containers' | 'unused-images';

export interface Starvation {
  readonly crossed: CrossedThreshold;
  readonly reclaim: readonly NodeReclaim[];
  /** In the order they would go. */
  readonly ranked: readonly RankedPod[];
  /** The one to go, the first that is not critical. */
  readonly victim: RankedPod | undefined;
}

export interface EvictionDecision {
  readonly memory: EvictionMemory;
  readonly crossed: readonly CrossedThreshold[];
  /** Pressures the node reports: those felt now, and those that ended less than the transition period ago. */
  readonly conditions: ReadonlySet<PressureCondition>;
  readonly starvation: Starvation | undefined;
}

export const thresholdKey = ({ signal, graceMs }: Threshold): string => `${signal}/${graceMs === 0 ? 'hard' : 'soft'}`;

/** What the node is short of, what it says about it, and who has to go for it. */
export function decideEviction(input: EvictionInput): EvictionDecision {
  const { observations, layout, memory, now } = input;
  const thresholds = withContainerfs(input.thresholds, layout);
  const crossed = thresholds.flatMap((threshold) => crossedThreshold(threshold, observations, memory, now));
  const lastPressure = new Map(memory.lastPressure);
  for (const { threshold } of crossed) lastPressure.set(signalFacts[threshold.signal].condition, now);
  const conditions = new Set(
    [...lastPressure].filter(([, at]) => at === now || now - at < input.transitionMs).map(([condition]) => condition),
  );
  const crossedSince = new Map(crossed.map(({ threshold, since }) => [thresholdKey(threshold), since]));
  const due = crossed.filter((each) => each.due).sort(mostUrgentFirst);
  const [first] = due;
  return {
    memory: { crossedSince, due: new Set(due.map(({ threshold }) => thresholdKey(threshold))), lastPressure },
    crossed,
    conditions,
    starvation: first && starvation(first, input),
  };
}

/**
 * One that something was done for stays crossed until the minimum reclaim is there as well. One that only waits for its grace does not: no
 * pod must go for what has mended itself.
 */
function crossedThreshold(
  threshold: Threshold,
  observations: Observations,
  memory: EvictionMemory,
  now: number,
): CrossedThreshold[] {
  const observed = observations.get(threshold.signal);
  if (!observed) return [];
  const wanted = amountOf(threshold.value, observed);
  const target = wanted + (threshold.minReclaim ? amountOf(threshold.minReclaim, observed) : 0);
  const key = thresholdKey(threshold);
  if (observed.available >= (memory.due.has(key) ? target : wanted)) return [];
  const since = memory.crossedSince.get(key) ?? now;
  return [{ threshold, observed, wanted, target, since, due: now - since >= threshold.graceMs }];
}

function starvation(crossed: CrossedThreshold, { pods, layout }: EvictionInput): Starvation {
  const { signal } = crossed.threshold;
  const ranked = rankPods(pods, signal, layout);
  return {
    crossed,
    reclaim: nodeReclaims(signal, layout),
    ranked,
    victim: ranked.find(({ pod }) => !pod.critical),
  };
}

/** Memory first, as nothing waits for it; what nobody can be evicted for last. */
const mostUrgentFirst = (a: CrossedThreshold, b: CrossedThreshold): number => urgency(a) - urgency(b);
const urgency = ({ threshold }: CrossedThreshold): number =>
  signalFacts[threshold.signal].condition === 'MemoryPressure' ? 0 : 1;

/** Which of the node's own things lie where the signal looks. */
export function nodeReclaims(signal: EvictionSignal, layout: FilesystemLayout): readonly NodeReclaim[] {
  if (signalFacts[signal].condition !== 'DiskPressure') return [];
  const [name] = signal.split('.');
  const filesystem = name === 'containerfs' ? containerFilesystem(layout) : name;
  switch (layout) {
    case 'one':
      return ['dead-containers', 'unused-images'];
    case 'imagefs':
      return filesystem === 'imagefs' ? ['dead-containers', 'unused-images'] : [];
    case 'split':
      return filesystem === 'imagefs' ? ['unused-images'] : ['dead-containers'];
  }
}
