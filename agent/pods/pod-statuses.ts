import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PodStatus, PodUid } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { DesiredPod } from '../podloop/pod-facts.js';
import type { PassResult } from '../podloop/pod-loop.js';
import type { CurrentWait } from '../podloop/steps.js';
import { same } from '../status/same-status.js';
import type { StatusPublisher } from '../status/status-publisher.js';
import { recordPassEvents } from './pass-events.js';

export interface PodStatusesDeps {
  readonly publisher: StatusPublisher;
  readonly controlPlane: Pick<ControlPlane, 'confirmDeletion'>;
  readonly events: EventRecorder;
  readonly log: Logger;
}

/** What each pod's last pass concluded; hands statuses to the publisher and changes to listeners. */
export class PodStatuses {
  readonly #deps: PodStatusesDeps;
  readonly #last = new Map<PodUid, PassResult>();
  readonly #doubted = new Map<PodUid, number>();
  /** Words of pulls under way, by `uid/container`. */
  readonly #progress = new Map<string, string>();
  readonly #listeners = new Set<(uid: PodUid) => void>();

  constructor(deps: PodStatusesDeps) {
    this.#deps = deps;
  }

  of(uid: PodUid): PodStatus | undefined {
    return this.#last.get(uid)?.status;
  }

  waits(uid: PodUid): readonly CurrentWait[] {
    return this.#last.get(uid)?.plan.waits ?? [];
  }

  /** Nobody could look since then, ms: what was concluded of each pod may be untrue until its next pass. */
  doubtAll(since: number): void {
    for (const uid of this.#last.keys()) this.#doubted.set(uid, since);
  }

  /** Since when what was concluded of the pod may be untrue, ms. */
  doubtedSince(uid: PodUid): number | undefined {
    return this.#doubted.get(uid);
  }

  /** Words of pulls under way, by container. */
  pullProgress(uid: PodUid): Readonly<Record<string, string>> {
    const start = `${uid}/`;
    return Object.fromEntries(
      [...this.#progress]
        .filter(([key]) => key.startsWith(start))
        .map(([key, text]): [string, string] => [key.slice(start.length), text]),
    );
  }

  progress(uid: PodUid, container: string, text: string): void {
    this.#progress.set(`${uid}/${container}`, text);
  }

  onChange(listener: (uid: PodUid) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  report(uid: PodUid, result: PassResult): void {
    const before = this.#last.get(uid);
    this.#last.set(uid, result);
    recordPassEvents(this.#deps.events, before, result);
    if (result.desired && result.status) this.#deps.publisher.publish(uid, result.desired.pod, result.status);
    const cleared = this.#doubted.delete(uid);
    const changed = before?.status !== result.status || !same(before?.plan.waits, result.plan.waits);
    if (changed || cleared) this.#tell(uid);
  }

  /** Nothing of the pod is left on the node: a deletion that was asked for is confirmed, with how the pod ended. */
  gone(uid: PodUid, desired: DesiredPod | undefined): void {
    const deleted = desired?.pod.metadata?.deletionTimestamp !== undefined || desired?.static === true;
    if (desired && deleted) {
      this.#deps.controlPlane
        .confirmDeletion(desired.pod, this.of(uid), new AbortController().signal)
        .catch((err: unknown) => {
          this.#deps.log.warn({ podUid: uid, err: errorText(err) }, 'pod deletion could not be confirmed');
        });
    }
    this.#last.delete(uid);
    this.#doubted.delete(uid);
    this.#deps.publisher.forget(uid);
    for (const key of this.#progress.keys()) if (key.startsWith(`${uid}/`)) this.#progress.delete(key);
    this.#tell(uid);
  }

  #tell(uid: PodUid): void {
    for (const listener of this.#listeners) listener(uid);
  }
}
