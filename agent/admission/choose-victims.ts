import { isCriticalPod, podQosClass, podUidOf, type Pod, type QosClass } from '../api/index.js';
import type { Amounts, PodAmounts } from './pod-amounts.js';

/** What is missing, by resource. */
export type Shortage = ReadonlyMap<string, number>;

const classes: readonly QosClass[] = ['BestEffort', 'Burstable', 'Guaranteed'];

/**
 * The pods that must go so that a critical one fits, as few Guaranteed as possible, then as few Burstable, then BestEffort (facts 1.2);
 * undefined when even all of them would not be enough.
 */
export function chooseVictims(
  preemptor: Pod,
  active: readonly Pod[],
  shortage: Shortage,
  amounts: PodAmounts,
): readonly Pod[] | undefined {
  const candidates = active.filter((pod) => mayPreempt(preemptor, pod));
  const byClass = new Map(classes.map((qos) => [qos, candidates.filter((pod) => podQosClass(pod) === qos)]));
  const of = (qos: QosClass): readonly Pod[] => byClass.get(qos) ?? [];
  if (left(shortage, candidates, amounts).size > 0) return undefined;
  const guaranteed = fewest(
    of('Guaranteed'),
    left(shortage, [...of('BestEffort'), ...of('Burstable')], amounts),
    amounts,
  );
  const burstable = fewest(of('Burstable'), left(shortage, [...of('BestEffort'), ...guaranteed], amounts), amounts);
  const bestEffort = fewest(of('BestEffort'), left(shortage, [...burstable, ...guaranteed], amounts), amounts);
  return [...bestEffort, ...burstable, ...guaranteed];
}

function mayPreempt(preemptor: Pod, pod: Pod): boolean {
  if (isCriticalPod(preemptor) && !isCriticalPod(pod)) return true;
  const { priority: own } = preemptor.spec ?? {};
  const { priority: other } = pod.spec ?? {};
  return own !== undefined && other !== undefined && own > other;
}

/** What is still missing when these are gone. */
function left(shortage: Shortage, gone: readonly Pod[], amounts: PodAmounts): Map<string, number> {
  const rest = new Map<string, number>();
  for (const [resource, missing] of shortage) {
    const freed = gone.reduce((sum, pod) => sum + (amounts.of(pod).get(resource) ?? 0), 0);
    if (missing > freed) rest.set(resource, missing - freed);
  }
  return rest;
}

/** One after another the pod that comes closest to what is missing, the smallest of those that do equally well. */
function fewest(pods: readonly Pod[], shortage: Shortage, amounts: PodAmounts): Pod[] {
  const pool = [...pods];
  const chosen: Pod[] = [];
  let missing: Shortage = shortage;
  while (missing.size > 0 && pool.length > 0) {
    let best = 0;
    for (let n = 1; n < pool.length; n++) if (isBetter(pool[n] as Pod, pool[best] as Pod, missing, amounts)) best = n;
    const [victim] = pool.splice(best, 1);
    if (!victim) break;
    chosen.push(victim);
    missing = left(missing, [victim], amounts);
  }
  return chosen;
}

function isBetter(pod: Pod, than: Pod, missing: Shortage, amounts: PodAmounts): boolean {
  const [own, other] = [amounts.of(pod), amounts.of(than)];
  const difference = distance(own, missing) - distance(other, missing);
  if (difference !== 0) return difference < 0;
  for (const resource of ['memory', 'cpu']) {
    const larger = (own.get(resource) ?? 0) - (other.get(resource) ?? 0);
    if (larger !== 0) return larger < 0;
  }
  return podUidOf(pod) < podUidOf(than);
}

/** Squares of the parts of each resource that would still be missing. */
function distance(pod: Amounts, missing: Shortage): number {
  let sum = 0;
  for (const [resource, amount] of missing) {
    const rest = Math.max(amount - (pod.get(resource) ?? 0), 0) / amount;
    sum += rest * rest;
  }
  return sum;
}
