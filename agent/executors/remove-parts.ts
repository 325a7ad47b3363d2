import type { ExecutorDeps, Executors } from './executor-deps.js';

export const stopSandbox = (deps: ExecutorDeps): Executors['stop-sandbox'] =>
  async function stopSandbox(step, context, signal) {
    await deps.runtime.stopPodSandbox({ podSandboxId: step.sandboxId }, signal);
    deps.changed(context.uid, { id: step.sandboxId, became: 'exited', sandboxId: step.sandboxId });
    context.memory.stoppedSandboxes.add(step.sandboxId);
  };

export const removeSandbox = (deps: ExecutorDeps): Executors['remove-sandbox'] =>
  async function removeSandbox(step, context, signal) {
    await deps.runtime.removePodSandbox({ podSandboxId: step.sandboxId }, signal);
    deps.changed(context.uid, { id: step.sandboxId, became: 'gone' });
  };

export const removeContainer = (deps: ExecutorDeps): Executors['remove-container'] =>
  async function removeContainer(step, context, signal) {
    const seen = context.seen().containers.find((container) => container.id === step.containerId);
    await deps.runtime.removeContainer({ containerId: step.containerId }, signal);
    deps.changed(context.uid, { id: step.containerId, became: 'gone' });
    if (seen && !step.keepLogs) await deps.logs.removeInstance(seen);
  };
