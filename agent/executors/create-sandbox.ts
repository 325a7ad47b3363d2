import { errorText } from '../../base/errors.js';
import type { Pod } from '../api/index.js';
import { podReference } from '../events/references.js';
import type { ExecutorDeps, Executors } from './executor-deps.js';

export const createSandbox = (deps: ExecutorDeps): Executors['create-sandbox'] =>
  async function createSandbox(step, context, signal) {
    const desired = context.desired();
    if (!desired) return;
    const { pod } = desired;
    await prepareClaims(deps, pod, signal);
    try {
      const { config, runtimeHandler, notes } = await deps.configs.sandbox(pod, step.attempt, signal);
      for (const { reason, message } of notes) deps.events.record(podReference(pod), 'Warning', reason, message);
      const { podSandboxId = '' } = await deps.gate.run(
        'sandbox',
        () => deps.runtime.runPodSandbox({ config, runtimeHandler }, signal),
        signal,
      );
      deps.changed(context.uid, { id: podSandboxId, became: 'running', sandboxId: podSandboxId });
    } catch (err) {
      if (!signal.aborted) {
        deps.events.record(
          podReference(pod),
          'Warning',
          'FailedCreatePodSandBox',
          `Failed to create pod sandbox: ${errorText(err)}`,
        );
      }
      throw err;
    }
  };

async function prepareClaims(deps: ExecutorDeps, pod: Pod, signal: AbortSignal): Promise<void> {
  try {
    await deps.grants.prepareClaims(pod, signal);
  } catch (err) {
    const message = `Failed to prepare dynamic resources: ${errorText(err)}`;
    if (!signal.aborted) deps.events.record(podReference(pod), 'Warning', 'FailedPrepareDynamicResources', message);
    throw err;
  }
}
