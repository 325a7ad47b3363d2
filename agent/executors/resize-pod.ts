import { isCriCode } from '../../cri/index.js';
import type { Pod } from '../api/index.js';
import type { ObservedContainer } from '../podloop/pod-facts.js';
import {
  containerChanges,
  resizeUpdate,
  shrinkProblem,
  type ContainerChange,
} from '../resources/resize/plan-resize.js';
import type { ExecutorDeps, Executors, PodContext } from './executor-deps.js';
import { StepError } from './step-error.js';

interface RunningChange extends ContainerChange {
  readonly id: string;
}

/** Raises the pod's limits, changes its containers, lowers the pod's limits; each part that is done already is left alone. */
export const resizePod = (deps: ExecutorDeps): Executors['resize-pod'] =>
  async function resizePod(_step, context, signal) {
    const desired = context.desired();
    if (!desired) return;
    const { pod, uid } = desired;
    // What is promised must outlive this agent before anything of it is done.
    await deps.sizes.saved(signal);
    const changes = runningChanges(deps, context, pod);
    const limits = deps.cgroups.changes(pod);
    await refuseShrinking(deps, pod, changes, limits.memory, signal);
    await tellRuntime(deps, context, pod, signal);
    for (const each of limits.first) await deps.cgroups.setLimits(pod, each, signal);
    for (const change of changes) {
      const { container, id } = change;
      const linux = resizeUpdate(change, deps.configs.resources(pod, container));
      await deps.runtime.updateContainerResources({ containerId: id, linux }, signal);
      deps.sizes.give(uid, container.name, container.resources ?? {});
    }
    for (const each of limits.last) await deps.cgroups.setLimits(pod, each, signal);
    deps.sizes.giveToPod(pod);
    context.memory.sizedFor = pod;
  };

/** Containers that start anew are somebody else's. */
function runningChanges(deps: ExecutorDeps, context: PodContext, pod: Pod): readonly RunningChange[] {
  const { sandboxes, containers } = context.seen();
  const [sandbox] = sandboxes;
  const runs = ({ state, sandboxId }: ObservedContainer): boolean => state === 'running' && sandboxId === sandbox?.id;
  return containerChanges(deps.sizes.given(context.uid), pod).flatMap((change) => {
    const running = containers.find((each) => each.name === change.container.name && runs(each));
    return running && !change.restart ? [{ ...change, id: running.id }] : [];
  });
}

async function refuseShrinking(
  deps: ExecutorDeps,
  pod: Pod,
  changes: readonly RunningChange[],
  podLimit: { readonly before: number | undefined; readonly after: number | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { before = Infinity, after = Infinity } = podLimit;
  const shrinks = shrinkProblem(changes, { before, after: after < before ? 0 : after }, everything) !== undefined;
  if (!shrinks) return;
  const used = new Map<string, number>();
  for (const { container, id } of changes) {
    const { stats } = await deps.runtime.containerStats({ containerId: id }, signal);
    const bytes = stats?.memory?.usageBytes?.value;
    if (bytes !== undefined) used.set(container.name, bytes);
  }
  const problem = shrinkProblem(changes, podLimit, {
    pod: deps.cgroups.memoryUse(pod),
    container: (name) => used.get(name),
  });
  if (problem !== undefined) throw new StepError('ResizeError', problem);
}

/** With it, any limit that shrinks at all is a problem: then it is worth asking what is used. */
const everything = { pod: Infinity, container: (): number => Infinity };

/** It may know more of the sandbox than the cgroup does; most do not care, and older ones do not know the call. */
async function tellRuntime(deps: ExecutorDeps, context: PodContext, pod: Pod, signal: AbortSignal): Promise<void> {
  const podSandboxId = context.seen().sandboxes[0]?.id;
  if (podSandboxId === undefined) return;
  const { cpuShares, cpuQuotaUs, cpuPeriodUs, memoryBytes } = deps.cgroups.limitsOf(pod);
  const resources = { cpuShares, cpuQuota: cpuQuotaUs, cpuPeriod: cpuPeriodUs, memoryLimitInBytes: memoryBytes };
  try {
    await deps.runtime.updatePodSandboxResources({ podSandboxId, resources }, signal);
  } catch (err) {
    if (!isCriCode(err, 'unimplemented')) throw err;
  }
}
