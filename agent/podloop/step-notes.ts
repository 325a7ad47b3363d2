import type { ContainerNotes } from './pod-facts.js';
import type { Step } from './steps.js';

/** What must be remembered of a container when a step begins; the runtime cannot tell it later. */
export function stepNotes(step: Step): { readonly container: string; readonly change: ContainerNotes } | undefined {
  if (step.kind === 'start-container') {
    // The next start asks for the image again: pull policy Always, or an image removed meanwhile.
    const taken: ContainerNotes = { imageReady: undefined };
    return { container: step.container, change: step.backoff ? { ...taken, backoff: step.backoff } : taken };
  }
  if (step.kind === 'kill-container') {
    return { container: step.container, change: { killed: { containerId: step.containerId, why: step.why.kind } } };
  }
  if (step.kind === 'pre-stop') return { container: step.container, change: { preStopBegun: step.containerId } };
  if (step.kind === 'remove-container' && step.neverRan)
    return { container: step.container, change: { neverRan: step.containerId } };
  return undefined;
}
