import { findContainer } from '../api/index.js';
import { containerReference } from '../events/references.js';
import type { KillWhy, StepOf } from '../podloop/steps.js';
import type { ExecutorDeps, Executors, PodContext } from './executor-deps.js';
import { preStopOf, stopTimeout } from './pre-stop.js';

export const killContainer = (deps: ExecutorDeps): Executors['kill-container'] =>
  async function killContainer(step, context, signal) {
    const { kills } = context.memory;
    const earlier = kills.get(step.containerId);
    const hook = new AbortController();
    kills.set(step.containerId, hook);
    try {
      let left = step.graceSeconds;
      if (earlier) earlier.abort(new DOMException('the grace was cut short', 'AbortError'));
      else {
        announce(deps, step, context);
        if (step.preStop) left -= await preStopOf(deps, step, context, hook.signal, signal);
      }
      const timeout = step.graceSeconds === 0 ? 0 : stopTimeout(left);
      await deps.runtime.stopContainer({ containerId: step.containerId, timeout }, signal);
      deps.changed(context.uid, { id: step.containerId, became: 'exited' });
    } finally {
      if (kills.get(step.containerId) === hook) kills.delete(step.containerId);
    }
  };

function announce(deps: ExecutorDeps, step: StepOf<'kill-container'>, context: PodContext): void {
  const pod = context.desired()?.pod;
  const container = pod && findContainer(pod, step.container);
  if (container)
    deps.events.record(containerReference(pod, container), 'Normal', 'Killing', killMessage(step.container, step.why));
}

/** The words `kubectl describe` users know. */
function killMessage(container: string, why: KillWhy): string {
  switch (why.kind) {
    case 'liveness-failed':
      return `Container ${container} failed liveness probe, will be restarted`;
    case 'startup-failed':
      return `Container ${container} failed startup probe, will be restarted`;
    case 'spec-changed':
      return `Container ${container} definition changed`;
    case 'resize':
      return `Container ${container} resize requires restart`;
    case 'post-start-failed':
      return `FailedPostStartHook`;
    case 'sandbox-changed':
    case 'state-unknown':
    case 'restart-all':
    case 'not-wanted':
    case 'pod-terminating':
      return `Stopping container ${container}`;
  }
}
