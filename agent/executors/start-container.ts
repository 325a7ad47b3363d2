import { errorText } from '../../base/errors.js';
import { findContainer, podUidOf } from '../api/index.js';
import { containerReference } from '../events/references.js';
import { effectiveResources } from '../resources/linux-resources.js';
import { sameRequirements } from '../resources/resize/pod-resources.js';
import type { ContainerRequest, ExecutorDeps, Executors, HookTarget, PodContext } from './executor-deps.js';
import { runPreStop, stopTimeout } from './pre-stop.js';
import { StepError } from './step-error.js';

export const startContainer = (deps: ExecutorDeps): Executors['start-container'] =>
  async function startContainer(step, context, signal) {
    const desired = context.desired();
    const container = desired && findContainer(desired.pod, step.container);
    if (!container) return;
    const { pod } = desired;
    const { config: sandboxConfig } = await deps.configs.sandbox(pod, sandboxAttempt(context, step.sandboxId), signal);
    const podIps = context.seen().sandboxes.find((sandbox) => sandbox.id === step.sandboxId)?.ips ?? [];
    const request: ContainerRequest = {
      pod,
      container,
      role: step.role,
      sandboxId: step.sandboxId,
      sandboxConfig,
      podIps,
      imageId: step.imageId,
      restartCount: step.restartCount,
    };
    const reference = containerReference(pod, container);
    const containerId = await createAndStart(deps, request, signal).catch((err: unknown) => {
      if (!signal.aborted) deps.events.record(reference, 'Warning', 'Failed', failureText(err));
      throw err;
    });
    await runPostStart(deps, request, containerId, signal);
    context.memory.note(step.container, { postStartDone: containerId });
  };

async function createAndStart(deps: ExecutorDeps, request: ContainerRequest, signal: AbortSignal): Promise<string> {
  const { pod, container, sandboxId, sandboxConfig } = request;
  const reference = containerReference(pod, container);
  const config = await deps.configs.container(request, signal);
  deps.logs.prepare(pod, container.container.name);
  // Before the container is made: a device that is not ready leaves none behind, and holds up no other start.
  await deps.grants.preStart(pod, container.container.name, signal);
  await giveResources(deps, request, signal);
  return deps.gate.run(
    'container',
    async () => {
      const { containerId = '' } = await inCase('CreateContainerError', () =>
        deps.runtime.createContainer({ podSandboxId: sandboxId, config, sandboxConfig }, signal),
      );
      deps.changed(podUidOf(pod), { id: containerId, became: 'created', sandboxId });
      deps.events.record(reference, 'Normal', 'Created', 'Container created');
      await inCase('RunContainerError', () => deps.runtime.startContainer({ containerId }, signal));
      // A hook may take long: meanwhile the container can be looked into.
      const hooked = container.container.lifecycle?.postStart !== undefined;
      deps.changed(podUidOf(pod), { id: containerId, became: 'running', sandboxId }, hooked);
      deps.events.record(reference, 'Normal', 'Started', 'Container started');
      return containerId;
    },
    signal,
  );
}

/** What it replaces decides after a crash whether the container must be started anew: that must not be an older answer. */
async function giveResources(
  deps: ExecutorDeps,
  { pod, container: { container, kind } }: ContainerRequest,
  signal: AbortSignal,
): Promise<void> {
  if (kind === 'ephemeral') return;
  const uid = podUidOf(pod);
  const resources = effectiveResources(pod, container);
  const before = deps.sizes.given(uid)?.containers.get(container.name);
  if (before && sameRequirements(before, resources)) return;
  deps.sizes.give(uid, container.name, resources);
  if (before) await deps.sizes.saved(signal);
}

/** The kubelet's words, by which tools tell a device that is not ready from a container that cannot run. */
function failureText(err: unknown): string {
  const hook = err instanceof StepError && err.failure.reason === 'PreStartHookError';
  return `${hook ? 'Internal PreStartContainer hook failed' : 'Error'}: ${errorText(err)}`;
}

/** A hook that fails ends the container; its restart policy decides what comes next. */
async function runPostStart(
  deps: ExecutorDeps,
  request: ContainerRequest,
  containerId: string,
  signal: AbortSignal,
): Promise<void> {
  const { pod, container, podIps } = request;
  const target: HookTarget = { pod, container, containerId, podIp: podIps[0] ?? '' };
  try {
    await deps.hooks.postStart(target, signal);
  } catch (err) {
    signal.throwIfAborted();
    const reference = containerReference(pod, container);
    // What a hook said may hold secrets: the pod's status has it, events do not.
    deps.events.record(reference, 'Warning', 'FailedPostStartHook', 'PostStartHook failed');
    deps.events.record(reference, 'Normal', 'Killing', 'FailedPostStartHook');
    const grace = pod.spec?.terminationGracePeriodSeconds ?? 30;
    const used = await runPreStop(deps, target, grace, signal, signal);
    await deps.runtime.stopContainer({ containerId, timeout: stopTimeout(grace - used) }, signal);
    throw new StepError('PostStartHookError', errorText(err), err);
  }
}

function sandboxAttempt(context: PodContext, sandboxId: string): number {
  return context.seen().sandboxes.find((sandbox) => sandbox.id === sandboxId)?.attempt ?? 0;
}

async function inCase<T>(reason: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (err) {
    throw err instanceof StepError ? err : new StepError(reason, errorText(err), err);
  }
}
