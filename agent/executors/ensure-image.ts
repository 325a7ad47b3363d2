import { findContainer } from '../api/index.js';
import { containerReference } from '../events/references.js';
import type { ExecutorDeps, Executors } from './executor-deps.js';
import { describeFailure } from './step-error.js';

export const ensureImage = (deps: ExecutorDeps): Executors['ensure-image'] =>
  async function ensureImage(step, context, signal) {
    const desired = context.desired();
    const container = desired && findContainer(desired.pod, step.container);
    if (!container) return;
    const { imageId } = await deps.images.ensure(desired.pod, container, signal).catch((err: unknown) => {
      const { reason } = describeFailure(step, err);
      const reference = containerReference(desired.pod, container);
      if (!signal.aborted) deps.events.record(reference, 'Warning', 'Failed', `Error: ${reason}`);
      throw err;
    });
    context.memory.note(step.container, { imageReady: { image: step.image, imageId } });
  };
