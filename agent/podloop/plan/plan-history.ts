import type { PlanDraft } from './plan-draft.js';
import { endOf, isAlive, type PodView } from '../pod-view.js';

/**
 * Keeps one dead instance of each container, for the status and `logs --previous`, and removes those before it; containers that the spec
 * does not name go altogether.
 */
export function planHistory(view: PodView, draft: PlanDraft): void {
  const remove = (instance: { readonly name: string; readonly id: string }): void => {
    draft.do(
      { kind: 'remove-container', container: instance.name, containerId: instance.id, keepLogs: false },
      'cleaning',
    );
  };
  for (const stranger of view.strangers) if (!isAlive(view.facts, stranger)) remove(stranger);
  for (const { instances, latest } of view.containers) {
    const dead = instances.filter((instance) => endOf(view.facts, instance) !== undefined);
    for (const old of dead.slice(1)) remove(old);
    for (const old of instances) if (old.state === 'created' && old !== latest) remove(old);
  }
}
