import type { PlanDraft } from './plan-draft.js';
import { currentInstance, endOf, isAlive, type ContainerView, type PodView } from '../pod-view.js';
import { restartsAllContainers } from '../restart-policy.js';

/** The containers whose exit asks for all containers to start over. */
export function restartAllSources(view: PodView): readonly ContainerView[] {
  return [...view.init, ...view.regular].filter((container) => {
    const instance = currentInstance(view, container);
    if (!instance || instance.state !== 'exited' || container.starting) return false;
    if (container.notes.killed?.containerId === instance.id) return false;
    const end = endOf(view.facts, instance);
    return end !== undefined && restartsAllContainers(container.spec, end.exitCode);
  });
}

/**
 * Removes every container so that the pod starts over in its sandbox; logs stay. Those that asked for it go last: as long as
 * one is there, an agent that starts anew knows what was going on.
 */
export function planRestartAll(view: PodView, draft: PlanDraft, sources: readonly ContainerView[]): void {
  const asked = new Set(sources.map((container) => currentInstance(view, container)));
  let left = 0;
  for (const container of [...view.init, ...view.regular]) {
    if (container.starting) {
      draft.cancel(`start-container/${container.name}`);
      left++;
    }
    for (const instance of container.instances) {
      if (asked.has(instance)) continue;
      left++;
      if (isAlive(view.facts, instance)) draft.kill(instance, { kind: 'restart-all' }, 0, true);
      else removeKeepingLogs(draft, instance);
    }
  }
  if (left > 0) return;
  for (const instance of asked) if (instance) removeKeepingLogs(draft, instance);
}

function removeKeepingLogs(draft: PlanDraft, { name, id }: { readonly name: string; readonly id: string }): void {
  draft.do({ kind: 'remove-container', container: name, containerId: id, keepLogs: true });
}
