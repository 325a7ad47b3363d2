import { errorText } from '../../base/errors.js';
import { linkSignal } from '../../base/signals.js';
import { findContainer, podUidOf } from '../api/index.js';
import { containerReference } from '../events/references.js';
import type { StepOf } from '../podloop/steps.js';
import type { ExecutorDeps, Executors, HookTarget, PodContext } from './executor-deps.js';

/** A container gets at least this long between its stop signal and SIGKILL, unless it gets none at all (kubelet). */
const leastStopSeconds = 2;

/** What is left of a grace, in whole seconds as the runtime takes them. */
export const stopTimeout = (leftSeconds: number): number => Math.max(Math.round(leftSeconds), leastStopSeconds);

/** Seconds of the grace the hook used; a hook that fails or runs into the grace does not keep the container alive. */
export async function runPreStop(
  deps: Pick<ExecutorDeps, 'clock' | 'hooks' | 'events' | 'log'>,
  target: HookTarget,
  graceSeconds: number,
  cutShort: AbortSignal,
  signal: AbortSignal,
): Promise<number> {
  const { pod, container } = target;
  if (!container.container.lifecycle?.preStop || graceSeconds <= 0) return 0;
  const started = deps.clock.now();
  const what = `preStop hook of ${container.container.name}`;
  using limited = linkSignal(signal, { timeoutMs: graceSeconds * 1000, what });
  const onCut = (): void => limited.abort(cutShort.reason);
  cutShort.addEventListener('abort', onCut, { once: true });
  try {
    await deps.hooks.preStop(target, limited.signal);
  } catch (err) {
    signal.throwIfAborted();
    // What a hook said may hold secrets: many may read events.
    deps.events.record(containerReference(pod, container), 'Warning', 'FailedPreStopHook', 'PreStopHook failed');
    const { name } = container.container;
    deps.log.warn({ podUid: podUidOf(pod), container: name, err: errorText(err) }, 'preStop hook failed');
  } finally {
    cutShort.removeEventListener('abort', onCut);
  }
  return (deps.clock.now() - started) / 1000;
}

/** The hook of a container that a step names; nothing for one that the spec does not know. */
export async function preStopOf(
  deps: ExecutorDeps,
  step: Pick<StepOf<'kill-container'>, 'container' | 'containerId' | 'graceSeconds'>,
  context: PodContext,
  cutShort: AbortSignal,
  signal: AbortSignal,
): Promise<number> {
  const pod = context.desired()?.pod;
  const container = pod && findContainer(pod, step.container);
  if (!container) return 0;
  const { containerId, graceSeconds } = step;
  const podIp = context.seen().sandboxes[0]?.ips[0] ?? '';
  return await runPreStop(deps, { pod, container, containerId, podIp }, graceSeconds, cutShort, signal);
}

export const preStopHook = (deps: ExecutorDeps): Executors['pre-stop'] =>
  async function preStop(step, context, signal) {
    await preStopOf(deps, step, context, signal, signal);
  };
