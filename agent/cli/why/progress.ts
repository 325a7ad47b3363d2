import { isTerminalPhase, type ContainerStatus, type Pod } from '../../api/index.js';

/** One stage of a pod's way to Ready, in the order they are reached. */
export interface Stage {
  readonly mark: 'done' | 'now' | 'failed' | 'later';
  readonly text: string;
  /** When it was reached, ms. */
  readonly at?: number | undefined;
}

/** How far a pod got: from admission through its sandbox and init containers to readiness. */
export function progressOf(pod: Pod): Stage[] {
  const { status, spec } = pod;
  const condition = (type: string): { met: boolean; at: number | undefined } => {
    const found = status?.conditions?.find((each) => each.type === type);
    return { met: found?.status === 'True', at: timeOf(found?.lastTransitionTime) };
  };
  const stages: Stage[] = [];
  if (status?.phase === 'Failed' && status.reason) {
    return [
      {
        mark: 'failed',
        text: `${status.reason}: ${status.message ?? ''}`.replace(/: $/, ''),
        at: timeOf(status.startTime),
      },
    ];
  }
  stages.push({
    mark: 'done',
    text: 'accepted by the node',
    at: timeOf(status?.startTime ?? pod.metadata?.creationTimestamp),
  });
  const sandbox = condition('PodReadyToStartContainers');
  const ip = status?.podIP ? `, address ${status.podIP}` : '';
  const isOver = status !== undefined && isTerminalPhase(status.phase);
  // What has run had them, however long they are gone.
  const hadThem = isOver && status.containerStatuses?.some(({ state }) => state?.terminated) === true;
  if (sandbox.met) stages.push({ mark: 'done', text: `volumes mounted and network ready${ip}`, at: sandbox.at });
  else if (hadThem) stages.push({ mark: 'done', text: 'volumes and network were ready; they are given back' });
  else stages.push({ mark: 'now', text: 'volumes and network' });
  const specs = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const states = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const inits = spec?.initContainers?.length ?? 0;
  for (const [index, { name, restartPolicy }] of specs.entries()) {
    const kind = index >= inits ? 'container' : restartPolicy === 'Always' ? 'sidecar' : 'init container';
    stages.push(
      containerStage(
        kind,
        name,
        states.find((each) => each.name === name),
        sandbox.met,
      ),
    );
  }
  if (isOver) {
    const end: Stage =
      status.phase === 'Succeeded' ? { mark: 'done', text: 'completed' } : { mark: 'failed', text: 'failed' };
    return [...onlyFirstIsNow(stages), end];
  }
  const ready = condition('Ready');
  stages.push({ mark: ready.met ? 'done' : 'later', text: 'ready', ...(ready.met && { at: ready.at }) });
  return onlyFirstIsNow(stages);
}

function containerStage(kind: string, name: string, status: ContainerStatus | undefined, mayRun: boolean): Stage {
  const label = `${kind} ${name}`;
  const { running, terminated, waiting } = status?.state ?? {};
  const restarts = status?.restartCount ? `, restarted ${timesText(status.restartCount)}` : '';
  if (running) {
    const unready = kind !== 'init container' && status?.ready === false;
    return {
      mark: unready ? 'now' : kind === 'init container' ? 'now' : 'done',
      text: `${label}: running${unready ? ', not ready' : ''}${restarts}`,
      at: timeOf(running.startedAt),
    };
  }
  if (terminated) {
    const well = terminated.exitCode === 0;
    const how = well ? 'completed' : `ended with exit code ${terminated.exitCode} (${terminated.reason ?? 'Error'})`;
    return { mark: well ? 'done' : 'failed', text: `${label}: ${how}${restarts}`, at: timeOf(terminated.finishedAt) };
  }
  const last = status?.lastState?.terminated;
  const ended = last ? `, last ended with exit code ${last.exitCode}` : '';
  const why =
    waiting?.reason && !['ContainerCreating', 'PodInitializing'].includes(waiting.reason) ? `: ${waiting.reason}` : '';
  return {
    mark: why !== '' ? 'failed' : mayRun ? 'now' : 'later',
    text: `${label}${why || ': not started'}${ended}${restarts}`,
  };
}

/** What comes after the place where the pod is has not its turn yet. */
function onlyFirstIsNow(stages: readonly Stage[]): Stage[] {
  let reached = false;
  return stages.map((stage) => {
    if (stage.mark === 'done') return stage;
    if (stage.mark === 'failed') {
      reached = true;
      return stage;
    }
    const mark = stage.mark === 'now' && !reached ? 'now' : 'later';
    reached ||= mark === 'now';
    return { ...stage, mark };
  });
}

function timeOf(time: string | undefined): number | undefined {
  const instant = Date.parse(time ?? '');
  return Number.isNaN(instant) ? undefined : instant;
}

const timesText = (count: number): string => (count === 1 ? 'once' : `${count} times`);
