import { findContainer } from '../api/index.js';
import type { ExecutorDeps, Executors } from './executor-deps.js';

export const ensureImage = (deps: ExecutorDeps): Executors['ensure-image'] =>
  async function ensureImage(step, context, signal) {
    const desired = context.desired();
    const container = desired && findContainer(desired.pod, step.container);
    if (!container) return;
    const { imageId } = await deps.images.ensure(desired.pod, container, signal);
    context.memory.note(step.container, { imageReady: { image: step.image, imageId } });
  };
