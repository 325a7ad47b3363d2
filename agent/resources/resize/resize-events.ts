import { isTerminalPhase, type Container, type Pod, type PodCondition, type PodStatus } from '../../api/index.js';

export interface ResizeEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: 'ResizeStarted' | 'ResizeCompleted' | 'ResizeError' | 'ResizeDeferred' | 'ResizeInfeasible';
  readonly message: string;
}

/** The kubelet's words: what happened, and the resources it is about as JSON. */
export function resizeMessage(what: string, { spec, metadata }: Pod, error?: string): string {
  const summary = (containers: readonly Container[] | undefined): unknown =>
    containers && containers.length > 0
      ? containers.map(({ name, resources = {} }) => ({ name, resources }))
      : undefined;
  const resources = {
    initContainers: summary(spec?.initContainers),
    containers: summary(spec?.containers),
    generation: metadata?.generation ?? 0,
    error,
  };
  return `Pod resize ${what}: ${JSON.stringify(resources)}`;
}

/** What became of a resize between two statuses of a pod. */
export function resizeEvents(
  before: PodStatus | undefined,
  after: PodStatus | undefined,
  pod: Pod,
): readonly ResizeEvent[] {
  const [was, is] = [progressOf(before), progressOf(after)];
  if (is?.reason === 'Error' && was?.message !== is.message)
    return [{ type: 'Warning', reason: 'ResizeError', message: resizeMessage('error', pod, is.message) }];
  const isOver = isTerminalPhase(after?.phase);
  if (was && !is && after && !isOver)
    return [{ type: 'Normal', reason: 'ResizeCompleted', message: resizeMessage('completed', pod) }];
  return [];
}

const progressOf = (status: PodStatus | undefined): PodCondition | undefined =>
  status?.conditions?.find(({ type }) => type === 'PodResizeInProgress');
