import { linkSignal } from '../../base/signals.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError, unlessGone } from '../contract/cri-error.js';
import type { DockerEvent } from './docker-types.js';
import { jsonLines } from './json-lines.js';
import { dockerLabels, sandboxType, storedConfig, type StoredSandboxConfig } from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { containerStatuses } from './pod-status.js';
import { findSandbox, sandboxStatus } from './sandboxes.js';

const types: Readonly<Record<string, v1.ContainerEventType>> = {
  create: 'CONTAINER_CREATED_EVENT',
  start: 'CONTAINER_STARTED_EVENT',
  die: 'CONTAINER_STOPPED_EVENT',
  destroy: 'CONTAINER_DELETED_EVENT',
};

/**
 * Docker's events in CRI's words, with the pod's status as it is now: from this call on, not from the first read. Fails with `unavailable`
 * when Docker goes away.
 */
export function containerEvents(
  context: DockerContext,
  signal: AbortSignal,
): AsyncGenerator<v1.ContainerEventResponse> {
  return eventsSince(context, context.deps.clock.now(), signal);
}

async function* eventsSince(
  context: DockerContext,
  sinceMs: number,
  signal: AbortSignal,
): AsyncGenerator<v1.ContainerEventResponse> {
  if (signal.aborted) return;
  using linked = linkSignal(signal);
  try {
    const filters = { type: ['container'], event: Object.keys(types), label: [dockerLabels.type] };
    const events = await context.api.stream(
      {
        method: 'GET',
        path: '/events',
        query: { filters, since: dockerSeconds(sinceMs) },
        verb: 'watch Docker events',
      },
      linked.signal,
    );
    for await (const event of jsonLines(events)) yield await toCri(context, event as DockerEvent, signal);
  } catch (err) {
    if (signal.aborted) return;
    throw err;
  } finally {
    linked.abort(new Error('no longer read'));
  }
  if (!signal.aborted) throw criError('unavailable', 'watch Docker events: Docker closed the connection');
}

/** With a fraction, as a text: Docker has nine digits of it. */
const dockerSeconds = (ms: number): string => (Math.floor(ms) / 1000).toFixed(9);

async function toCri(
  context: DockerContext,
  event: DockerEvent,
  signal: AbortSignal,
): Promise<v1.ContainerEventResponse> {
  const { ID: id, Attributes } = event.Actor;
  const isSandbox = Attributes[dockerLabels.type] === sandboxType;
  const sandboxId = isSandbox ? id : (Attributes[dockerLabels.sandboxId] ?? '');
  const [status, containers] = await Promise.all([
    unlessGone(findSandbox(context, sandboxId, signal).then((found) => sandboxStatus(context, found))),
    unlessGone(containerStatuses(context, sandboxId, signal)),
  ]);
  return {
    containerId: id,
    containerEventType: types[event.Action] ?? 'CONTAINER_STOPPED_EVENT',
    createdAt: event.timeNano,
    podSandboxStatus: status ?? (isSandbox ? lastStatus(id, Attributes) : undefined),
    containersStatuses: containers ?? [],
  };
}

/** Of a sandbox that is gone: clients know by it whose end they are told of. Labels are mixed with words of Docker's here. */
function lastStatus(id: string, attributes: Readonly<Record<string, string>>): v1.PodSandboxStatus | undefined {
  const config = storedConfig<StoredSandboxConfig>(attributes);
  if (config === undefined) return undefined;
  return { id, metadata: config.metadata, state: 'SANDBOX_NOTREADY', runtimeHandler: config.runtimeHandler };
}
