import type { ContainerStatus, PodStatus } from '../../api/index.js';
import { ageOf, ageSince } from './age.js';
import { oneLine } from './table.js';

/** What the table of pods is made from; the node API and the live view both have it. */
export interface PodRowSource {
  readonly pod?:
    | {
        readonly metadata?:
          | {
              readonly name?: string | undefined;
              readonly namespace?: string | undefined;
              readonly uid?: string | undefined;
              readonly deletionTimestamp?: string | undefined;
              readonly creationTimestamp?: string | undefined;
            }
          | undefined;
        readonly spec?:
          | {
              readonly nodeName?: string | undefined;
              readonly containers: readonly unknown[];
              readonly initContainers?: readonly { readonly restartPolicy?: string | undefined }[] | undefined;
            }
          | undefined;
      }
    | undefined;
  readonly uid: string;
  readonly status?: PodStatus | undefined;
  readonly waits: readonly {
    readonly step: string;
    readonly object: string;
    readonly lastError?: { readonly reason: string; readonly message: string } | undefined;
  }[];
}

export interface PodRow {
  readonly namespace: string;
  readonly name: string;
  readonly ready: string;
  readonly status: string;
  readonly restarts: string;
  readonly age: string;
  readonly ip: string;
  readonly node: string;
  readonly waitingFor: string;
}

export function podRow({ pod, status, uid, waits }: PodRowSource, now: number): PodRow {
  const inits = pod?.spec?.initContainers ?? [];
  const isSidecar = (index: number): boolean => inits[index]?.restartPolicy === 'Always';
  const sidecars = (status?.initContainerStatuses ?? []).filter((_container, index) => isSidecar(index));
  const counted = [...(status?.containerStatuses ?? []), ...sidecars];
  const wanted = (pod?.spec?.containers.length ?? 0) + inits.filter((_init, index) => isSidecar(index)).length;
  const wait = waits[0];
  return {
    namespace: pod?.metadata?.namespace ?? 'default',
    name: pod?.metadata?.name ?? `(pod ${uid})`,
    ready: `${counted.filter((container) => container.ready).length}/${Math.max(wanted, counted.length)}`,
    status: podState(pod?.metadata?.deletionTimestamp !== undefined, status, inits),
    restarts: restartsOf(
      [...counted, ...(status?.initContainerStatuses ?? []).filter((_c, index) => !isSidecar(index))],
      now,
    ),
    age: ageSince(pod?.metadata?.creationTimestamp ?? status?.startTime, now),
    ip: status?.podIP ?? '<none>',
    node: pod?.spec?.nodeName ?? '<none>',
    waitingFor: wait
      ? `${wait.object}${wait.lastError ? `: ${oneLine(wait.lastError.message)}` : ` (${wait.step})`}`
      : '<none>',
  };
}

/** `3 (5m ago)`: how often, and when the last of them ended. */
function restartsOf(containers: readonly ContainerStatus[], now: number): string {
  const count = containers.reduce((sum, container) => sum + (container.restartCount ?? 0), 0);
  const ends = containers.map(({ lastState }) => Date.parse(lastState?.terminated?.finishedAt ?? ''));
  const last = Math.max(...ends.filter((time) => !Number.isNaN(time)));
  return count > 0 && Number.isFinite(last) ? `${count} (${ageOf(now - last)} ago)` : String(count);
}

type InitSpecs = readonly { readonly restartPolicy?: string | undefined }[];

/** The STATUS column as kubectl computes it: the most telling reason, else the phase. */
export function podState(deleting: boolean, status: PodStatus | undefined, inits: InitSpecs = []): string {
  if (deleting) return 'Terminating';
  if (!status) return 'Pending';
  // A pod that was rejected or evicted says so before anything its containers could.
  if (status.reason) return status.reason;
  const init = initState(status, inits);
  if (init !== undefined) return init;
  const containers = status.containerStatuses ?? [];
  for (const { state } of containers.toReversed()) {
    if (state?.waiting?.reason) return state.waiting.reason;
    if (state?.terminated) {
      const oneStillRuns = containers.some((other) => other.ready && other.state?.running);
      if (!oneStillRuns || status.phase !== 'Running') return endReason(state.terminated);
    }
  }
  return status.phase ?? 'Pending';
}

/** Undefined once all init containers are through. */
function initState(status: PodStatus, specs: InitSpecs): string | undefined {
  const all = status.initContainerStatuses ?? [];
  for (const [index, { state, started }] of all.entries()) {
    if (state?.terminated?.exitCode === 0 && specs[index]?.restartPolicy !== 'Always') continue;
    if (specs[index]?.restartPolicy === 'Always' && started === true) continue;
    if (state?.terminated) return status.phase === 'Succeeded' ? undefined : `Init:${endReason(state.terminated)}`;
    const reason = state?.waiting?.reason;
    return reason !== undefined && reason !== 'PodInitializing' ? `Init:${reason}` : `Init:${index}/${all.length}`;
  }
  return undefined;
}

function endReason(end: NonNullable<NonNullable<ContainerStatus['state']>['terminated']>): string {
  return end.reason || (end.signal ? `Signal:${end.signal}` : `ExitCode:${end.exitCode}`);
}
