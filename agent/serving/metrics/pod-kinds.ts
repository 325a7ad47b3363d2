import type { AgentPod } from '../../agent.js';
import { isTerminalPhase, type Pod } from '../../api/index.js';

export type ContainerType = 'container' | 'init_container' | 'ephemeral_container';

/** The kubelet's word for where in its pod a container is listed. */
export function containerType(pod: Pod | undefined, name: string): ContainerType {
  const { initContainers = [], ephemeralContainers = [] } = pod?.spec ?? {};
  if (initContainers.some((each) => each.name === name)) return 'init_container';
  return ephemeralContainers.some((each) => each.name === name) ? 'ephemeral_container' : 'container';
}

/** In which part of its life a pod is, whether anybody wants it, and where from. */
export function lifecycleOf({
  desired,
  observed,
  status,
}: AgentPod): Record<'lifecycle' | 'config' | 'static', string> {
  const ended = isTerminalPhase(status?.phase);
  const runs = observed?.containers.some(({ state }) => state === 'running') === true;
  const ending = desired?.termination !== undefined;
  const { cause } = desired?.termination ?? {};
  return {
    lifecycle: ended && !runs ? 'terminated' : ending ? 'terminating' : 'sync',
    config: desired === undefined || cause === 'orphan' ? 'runtime_only' : desired.removed ? 'orphan' : 'desired',
    static: String(desired?.static === true),
  };
}

/** The reason of a condition about resizing that holds; undefined where none does. */
export function resizeOf({ status }: AgentPod, type: 'PodResizePending' | 'PodResizeInProgress'): string | undefined {
  const condition = status?.conditions?.find((each) => each.type === type && each.status === 'True');
  return condition && (condition.reason ?? '');
}
