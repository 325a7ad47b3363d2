import { errorText } from '../../base/errors.js';
import { podReference } from '../events/references.js';
import type { ExecutorDeps, Executors } from './executor-deps.js';

export const createSandbox = (deps: ExecutorDeps): Executors['create-sandbox'] =>
  async function createSandbox(step, context, signal) {
    const desired = context.desired();
    if (!desired) return;
    const { pod } = desired;
    try {
      const { config, runtimeHandler, notes } = await deps.configs.sandbox(pod, step.attempt, signal);
      for (const { reason, message } of notes) deps.events.record(podReference(pod), 'Warning', reason, message);
      await deps.gate.run('sandbox', () => deps.runtime.runPodSandbox({ config, runtimeHandler }, signal), signal);
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
