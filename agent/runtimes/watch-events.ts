import { criLabels, isCriCode, type RuntimeService, type v1 } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PodUid } from '../api/index.js';
import type { RuntimeChange, Said } from '../observe/runtime-change.js';

export interface WatchEventsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: RuntimeService;
  /** Something of this pod changed; `news` when nobody here can know of it yet, so that its loop must look now. */
  changed(uid: PodUid, change: RuntimeChange, news: boolean): void;
  /** The stream was cut: anything may have changed. */
  missed(): void;
  /** The runtime has no events: looks at everything and tells of what is not as it was. */
  relist(signal: AbortSignal): Promise<void>;
  /** The runtime did not answer, or broke the stream off. */
  cut(): void;
}

const reconnectMs = { first: 100, last: 5000 };
/** How often everything is looked at where the runtime sends no events (containerd before 1.7, CRI-O as it comes). */
const relistMs = 2000;
/** A stream that is over so soon, without a word or a failure, is none: so CRI-O says that `enable_pod_events` is off, its default. */
const noStreamMs = 1000;
const nanosecondsPerMs = 1_000_000;

/** Turns the runtime's events into wake-ups until the signal aborts. */
export async function watchRuntimeEvents(deps: WatchEventsDeps, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let sends = true;
  while (!signal.aborted) {
    let waitMs = reconnectMs.first;
    try {
      const began = deps.clock.now();
      let heard = false;
      for await (const event of deps.runtime.containerEvents(signal)) {
        failures = 0;
        heard = true;
        tell(event, began, deps);
      }
      if (!heard && !signal.aborted && deps.clock.now() - began < noStreamMs) {
        if (sends) sayNone(deps);
        sends = false;
        await lookLater(deps, signal);
        continue;
      }
      sends = true;
    } catch (err) {
      signal.throwIfAborted();
      const cause = isCriCode(err, 'unimplemented') ? await relistUntilItFails(deps, signal) : err;
      waitMs = Math.min(reconnectMs.first * 2 ** failures++, reconnectMs.last);
      deps.log.warn({ err: errorText(cause), retryInMs: waitMs }, 'runtime events were cut off');
      deps.cut();
    }
    await deps.clock.sleep(waitMs, signal);
    deps.missed();
  }
}

/** Resolves with the failure: the runtime went away, and the one that comes back may have events. */
async function relistUntilItFails(deps: WatchEventsDeps, signal: AbortSignal): Promise<unknown> {
  sayNone(deps);
  try {
    while (true) await lookLater(deps, signal);
  } catch (err) {
    signal.throwIfAborted();
    return err;
  }
}

function sayNone({ log }: WatchEventsDeps): void {
  log.info({ everyMs: relistMs }, 'the container runtime sends no events: it is asked from time to time');
}

async function lookLater(deps: WatchEventsDeps, signal: AbortSignal): Promise<void> {
  await deps.clock.sleep(relistMs, signal);
  await deps.relist(signal);
}

/** What is made, started or deleted was so by one of our own steps, which tell of it and wake the loop; only what ended is news. */
function tell(event: v1.ContainerEventResponse, began: number, deps: WatchEventsDeps): void {
  const type = event.containerEventType ?? 'CONTAINER_CREATED_EVENT';
  const uid = event.podSandboxStatus?.metadata?.uid || event.containersStatuses?.[0]?.labels?.[criLabels.podUid];
  if (!uid) {
    if (type !== 'CONTAINER_DELETED_EVENT') deps.missed();
    return;
  }
  const ofSandbox = event.containerId === event.podSandboxStatus?.id;
  const id = event.containerId ?? '';
  const words = isKept(event, began) ? undefined : said(event, ofSandbox);
  const change = { id, became: states[type], sandboxId: event.podSandboxStatus?.id, said: words };
  deps.changed(uid as PodUid, change, type === 'CONTAINER_STOPPED_EVENT');
}

/**
 * From before the stream: containerd keeps events for who listens first, up to some number and none of the later ones then, and a kubelet
 * does not listen. Such a one tells that there was something, and not how it is now.
 */
function isKept({ createdAt = 0 }: v1.ContainerEventResponse, began: number): boolean {
  return createdAt > 0 && createdAt / nanosecondsPerMs < began;
}

function said(event: v1.ContainerEventResponse, ofSandbox: boolean): Said | undefined {
  if (ofSandbox) return event.podSandboxStatus ? { kind: 'sandbox', status: event.podSandboxStatus } : undefined;
  const status = event.containersStatuses?.find(({ id }) => id === event.containerId);
  return status && { kind: 'container', status };
}

const states: Readonly<Record<v1.ContainerEventType, RuntimeChange['became']>> = {
  CONTAINER_CREATED_EVENT: 'created',
  CONTAINER_STARTED_EVENT: 'running',
  CONTAINER_STOPPED_EVENT: 'exited',
  CONTAINER_DELETED_EVENT: 'gone',
};
