import { criLabels, isCriCode, type RuntimeService, type v1 } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PodUid } from '../api/index.js';

export interface WatchEventsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: RuntimeService;
  /** Something of this pod changed; `news` when nobody here can know of it yet, so that its loop must look now. */
  changed(uid: PodUid, news: boolean): void;
  /** The stream was cut or the runtime has none: anything may have changed. */
  missed(): void;
}

const reconnectMs = { first: 100, last: 5000 };
/** How often everything is looked at where the runtime sends no events. */
const relistMs = 10_000;

/** Turns the runtime's events into wake-ups until the signal aborts. */
export async function watchRuntimeEvents(deps: WatchEventsDeps, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    let waitMs = reconnectMs.first;
    try {
      for await (const event of deps.runtime.containerEvents(signal)) {
        failures = 0;
        tell(event, deps);
      }
    } catch (err) {
      signal.throwIfAborted();
      if (isCriCode(err, 'unimplemented')) waitMs = relistMs;
      else {
        waitMs = Math.min(reconnectMs.first * 2 ** failures++, reconnectMs.last);
        deps.log.warn({ err: errorText(err), retryInMs: waitMs }, 'runtime events were cut off');
      }
    }
    await deps.clock.sleep(waitMs, signal);
    deps.missed();
  }
}

/**
 * What is made, started or deleted was so by one of our own steps, whose end wakes the loop; only a container that runs (its
 * postStart hook may take long) and what ended are news.
 */
function tell(event: v1.ContainerEventResponse, deps: WatchEventsDeps): void {
  const type = event.containerEventType ?? 'CONTAINER_CREATED_EVENT';
  const uid = event.podSandboxStatus?.metadata?.uid || event.containersStatuses?.[0]?.labels?.[criLabels.podUid];
  if (!uid) {
    if (type !== 'CONTAINER_DELETED_EVENT') deps.missed();
    return;
  }
  const ofSandbox = event.containerId === event.podSandboxStatus?.id;
  deps.changed(uid as PodUid, type === 'CONTAINER_STOPPED_EVENT' || (type === 'CONTAINER_STARTED_EVENT' && !ofSandbox));
}
