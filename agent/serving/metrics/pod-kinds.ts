import type { AgentPod } from '../../agent.js';
import { isTerminalPhase, type Pod } from '../../api/index.js';

export type ContainerType = 'container' | 'init_container' | 'ephemeral_container';

/** The kubelet's word for where in its pod a container is listed. */
export function containerType(pod: Pod | undefined, name: string): ContainerType {
  const { initContainers = [], ephemeralContainers = [] } = pod?.spec ?? {};
  if (initContainers.some((each) => each.name === name)) return 'init_container';
  return ephemeralContainers.some((each) => each.name === name) ? 'ephemeral_container' : 'container';
}

export type PodLifecycle = Readonly<Record<'lifecycle' | 'config' | 'static', string>>;

/** The kubelet's words for whether a pod is a static one: no label counts as one that is empty. */
export const staticLabel = (isStatic: boolean): '' | 'true' => (isStatic ? 'true' : '');

/** All that there are: each is told, also when no pod is in it. */
export const podLifecycles: readonly PodLifecycle[] = ['desired', 'orphan', 'runtime_only'].flatMap((config) =>
  (config === 'runtime_only' ? ['unknown'] : ['', 'true']).flatMap((isStatic) =>
    ['sync', 'terminating', 'terminated'].map((lifecycle) => ({ lifecycle, config, static: isStatic })),
  ),
);

/** In which part of its life a pod is, whether anybody wants it, and where from. */
export function lifecycleOf({ desired, observed, status }: AgentPod): PodLifecycle {
  const ended = isTerminalPhase(status?.phase);
  const runs = observed?.containers.some(({ state }) => state === 'running') === true;
  const ending = desired?.termination !== undefined;
  const { cause } = desired?.termination ?? {};
  const lifecycle = ended && !runs ? 'terminated' : ending ? 'terminating' : 'sync';
  if (desired === undefined || cause === 'orphan') return { lifecycle, config: 'runtime_only', static: 'unknown' };
  return { lifecycle, config: desired.removed ? 'orphan' : 'desired', static: staticLabel(desired.static) };
}

/** The reason of a condition about resizing that holds; undefined where none does. */
export function resizeOf({ status }: AgentPod, type: 'PodResizePending' | 'PodResizeInProgress'): string | undefined {
  const condition = status?.conditions?.find((each) => each.type === type && each.status === 'True');
  return condition && (condition.reason ?? '');
}
