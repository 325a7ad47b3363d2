import type { ExecutorDeps, Executors } from './executor-deps.js';

export const stopSandbox = (deps: ExecutorDeps): Executors['stop-sandbox'] =>
  async function stopSandbox(step, context, signal) {
    await deps.runtime.stopPodSandbox({ podSandboxId: step.sandboxId }, signal);
    context.memory.stoppedSandboxes.add(step.sandboxId);
  };

export const removeSandbox = (deps: ExecutorDeps): Executors['remove-sandbox'] =>
  async function removeSandbox(step, _context, signal) {
    await deps.runtime.removePodSandbox({ podSandboxId: step.sandboxId }, signal);
  };

export const removeContainer = (deps: ExecutorDeps): Executors['remove-container'] =>
  async function removeContainer(step, context, signal) {
    const seen = context.seen().containers.find((container) => container.id === step.containerId);
    await deps.runtime.removeContainer({ containerId: step.containerId }, signal);
    if (seen && !step.keepLogs) await deps.logs.removeInstance(seen);
  };
