import type * as v1 from '../../../proto/generated/cri-v1.js';
import type { RuntimeContext } from '../context.js';
import { criSignal } from '../../contract/signals.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { endUnwatched } from './end-unwatched.js';
import { lookAgain } from './settle-exit.js';

const nanos = (ms: number): number => Math.round(ms * 1e6);

export function containerState(entry: ContainerEntry): v1.ContainerState {
  switch (entry.phase.kind) {
    case 'creating':
      return 'CONTAINER_UNKNOWN';
    case 'created':
      return 'CONTAINER_CREATED';
    case 'running':
      return 'CONTAINER_RUNNING';
    case 'exited':
      return 'CONTAINER_EXITED';
  }
}

/** Looks whether the container still lives before it is reported; the cheap look is one system call. */
export function refresh(context: RuntimeContext, entry: ContainerEntry, thorough: boolean): void {
  if (lookAgain(context, entry, thorough) === 'unwatched') endUnwatched(context, entry);
}

export function containerStatus(entry: ContainerEntry): v1.ContainerStatus {
  const { record, phase } = entry;
  const exit = phase.kind === 'exited' ? phase.exit : undefined;
  return {
    id: record.id,
    metadata: record.metadata,
    state: containerState(entry),
    createdAt: nanos(record.createdAtMs),
    startedAt: nanos(record.startedAtMs ?? 0),
    finishedAt: nanos(exit?.finishedAtMs ?? 0),
    exitCode: exit?.code ?? 0,
    image: record.image,
    imageRef: record.imageRef,
    imageId: record.imageId,
    reason: exit?.reason ?? '',
    message: exit?.message ?? '',
    labels: record.labels,
    annotations: record.annotations,
    mounts: record.mounts,
    logPath: record.logPath,
    resources: { linux: record.resources },
    user: record.user === undefined ? undefined : { linux: record.user },
    stopSignal: criSignal(record.stopSignal) as v1.Signal,
  };
}

export function listedContainer(entry: ContainerEntry): v1.Container {
  const { record } = entry;
  return {
    id: record.id,
    podSandboxId: record.sandboxId,
    metadata: record.metadata,
    image: record.image,
    imageRef: record.imageRef,
    imageId: record.imageId,
    state: containerState(entry),
    createdAt: nanos(record.createdAtMs),
    labels: record.labels,
    annotations: record.annotations,
  };
}

export function listContainers(
  context: RuntimeContext,
  filter: v1.ContainerFilter | null | undefined,
): v1.ListContainersResponse {
  const state = filter?.state?.state;
  const containers: v1.Container[] = [];
  for (const entry of context.containers.values()) {
    if (entry.phase.kind === 'creating') continue;
    if (!matches(entry.record, filter)) continue;
    refresh(context, entry, false);
    if (state !== undefined && containerState(entry) !== state) continue;
    containers.push(listedContainer(entry));
  }
  return { containers };
}

interface Labelled {
  readonly id: string;
  readonly sandboxId?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

interface LabelFilter {
  readonly id?: string | undefined;
  readonly podSandboxId?: string | undefined;
  readonly labelSelector?: Readonly<Record<string, string>> | undefined;
}

/** Ids in a filter may be cut short; every label of the selector must be there with its value. */
export function matches(record: Labelled, filter: LabelFilter | null | undefined): boolean {
  if (filter == null) return true;
  if (filter.id && !record.id.startsWith(filter.id)) return false;
  if (filter.podSandboxId && record.sandboxId?.startsWith(filter.podSandboxId) !== true) return false;
  for (const key in filter.labelSelector) {
    if (record.labels[key] !== filter.labelSelector[key]) return false;
  }
  return true;
}
