import type { RuntimeFacts } from '../podloop/pod-facts.js';
import { containerState } from './observed-status.js';
import type { PodItems } from './runtime-listing.js';

/** Whether a look at the runtime's lists shows what is known of a pod: the same things in the same states. */
export function isAsListed(
  facts: RuntimeFacts,
  { sandboxes, containers }: PodItems = { sandboxes: [], containers: [] },
): boolean {
  if (facts.sandboxes.length !== sandboxes.length || facts.containers.length !== containers.length) return false;
  return (
    sandboxes.every(({ id, state }) => {
      const known = facts.sandboxes.find((sandbox) => sandbox.id === id);
      return known?.ready === (state !== 'SANDBOX_NOTREADY');
    }) &&
    containers.every(({ id, state }) => {
      const known = facts.containers.find((container) => container.id === id);
      return known?.state === containerState(state);
    })
  );
}
