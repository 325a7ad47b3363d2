import { formatCpuSet, parseCpuSet } from '../../resources/topology/index.js';
import type { PlanDraft } from './plan-draft.js';
import type { CpuFacts, ObservedContainer } from '../pod-facts.js';
import type { PodView } from '../pod-view.js';

/** Where a running container is to be moved; undefined when it is there. */
export function cpusToMoveTo({ wanted, pinned }: CpuFacts, instance: ObservedContainer): string | undefined {
  const cpus = wanted.get(instance.name);
  if (cpus === undefined || cpus === '' || instance.state !== 'running') return undefined;
  const now = pinned.get(instance.id) ?? instance.resources?.linux?.cpusetCpus ?? '';
  return isSame(now, cpus) ? undefined : cpus;
}

/** Containers leave the CPUs that another has for itself now. The pod does not wait for it. */
export function planPins({ facts }: PodView, draft: PlanDraft): void {
  const { cpus, runtime, prepared } = facts;
  // Until it is asked for what it is to be granted, a new agent may not know of the CPUs the pod has for itself.
  if (prepared && cpus && runtime.containers.some((instance) => cpusToMoveTo(cpus, instance) !== undefined))
    draft.do({ kind: 'pin-containers' }, 'cleaning');
}

function isSame(a: string, b: string): boolean {
  if (a === b) return true;
  try {
    return formatCpuSet(parseCpuSet(a)) === b;
  } catch {
    return false;
  }
}
