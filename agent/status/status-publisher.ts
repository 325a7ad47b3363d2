import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { Pod, PodStatus, PodUid } from '../api/index.js';
import { ControlPlaneError, type ControlPlane } from '../controlplane/control-plane.js';

export interface StatusPublisherOptions {
  /** How long a change that nobody waits for is held back to be joined with the next. */
  readonly coalesceMs: number;
}

export interface StatusPublisherDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly controlPlane: Pick<ControlPlane, 'writePodStatus' | 'onRecovery'>;
  /** Seconds from the first change that a write carries until the server has it. */
  written?(seconds: number): void;
}

interface Queued {
  pod: Pod;
  status: PodStatus;
  sent: PodStatus | undefined;
  timer: NodeJS.Timeout | undefined;
  sending: boolean;
  /** Of the first change that is not written yet. */
  changedAt: number | undefined;
  failures: number;
}

const retryMs = { first: 1000, last: 30_000 };
const lastWriteMs = 3000;

/**
 * Writes pod statuses, the newest only, one write per pod at a time. Changes of Ready, of the phase, of a device's health, and exits of containers go at
 * once; the rest waits a moment for company.
 */
export class StatusPublisher implements AsyncDisposable {
  readonly #options: StatusPublisherOptions;
  readonly #deps: StatusPublisherDeps;
  readonly #stop = new AbortController();
  readonly #queue = new Map<PodUid, Queued>();
  readonly #writes = new Set<Promise<void>>();
  readonly #recovery: Disposable | undefined;

  constructor(options: StatusPublisherOptions, deps: StatusPublisherDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#recovery = deps.controlPlane.onRecovery?.(() => this.#retryNow());
  }

  publish(uid: PodUid, pod: Pod, status: PodStatus): void {
    const entry = this.#queue.get(uid) ?? {
      pod,
      status,
      sent: undefined,
      timer: undefined,
      sending: false,
      changedAt: undefined,
      failures: 0,
    };
    const isNew = !this.#queue.has(uid);
    if (!isNew && entry.status === status) return;
    this.#queue.set(uid, entry);
    const urgent = isUrgent(entry.sent ?? pod.status, status);
    entry.pod = pod;
    entry.status = status;
    entry.changedAt ??= this.#deps.clock.now();
    this.#schedule(uid, entry, urgent ? 0 : this.#options.coalesceMs);
  }

  forget(uid: PodUid): void {
    clearTimeout(this.#queue.get(uid)?.timer);
    this.#queue.delete(uid);
  }

  /** Writes what is held back, once, and stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#recovery?.[Symbol.dispose]();
    for (const [uid, entry] of this.#queue) {
      clearTimeout(entry.timer);
      if (entry.sent !== entry.status && !entry.sending) this.#begin(uid, entry);
    }
    // A control plane that does not answer must not hold up the end.
    const limit = setTimeout(() => this.#stop.abort(), lastWriteMs);
    await Promise.all(this.#writes);
    clearTimeout(limit);
    this.#stop.abort();
  }

  #retryNow(): void {
    for (const [uid, entry] of this.#queue) if (entry.failures > 0) this.#schedule(uid, entry, 0);
  }

  #settled(entry: Queued): void {
    if (entry.sent !== entry.status || entry.changedAt === undefined) return;
    this.#deps.written?.(Math.max(this.#deps.clock.now() - entry.changedAt, 0) / 1000);
    entry.changedAt = undefined;
  }

  #schedule(uid: PodUid, entry: Queued, afterMs: number): void {
    if (entry.sending || this.#stop.signal.aborted) return;
    // What waits already goes when its time comes, however often it changes meanwhile.
    if (afterMs > 0 && entry.timer !== undefined) return;
    clearTimeout(entry.timer);
    if (afterMs === 0) this.#begin(uid, entry);
    else entry.timer = setTimeout(() => this.#begin(uid, entry), afterMs);
  }

  #begin(uid: PodUid, entry: Queued): void {
    entry.timer = undefined;
    const write = this.#write(uid, entry).finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  async #write(uid: PodUid, entry: Queued): Promise<void> {
    const { pod, status } = entry;
    entry.sending = true;
    let retryInMs: number | undefined;
    try {
      await this.#deps.controlPlane.writePodStatus(pod, status, this.#stop.signal);
      entry.sent = status;
      entry.failures = 0;
      this.#settled(entry);
    } catch (err) {
      const gone = err instanceof ControlPlaneError && err.failure.code === 'not-found';
      if (gone || this.#stop.signal.aborted) entry.sent = status;
      else {
        retryInMs = Math.min(retryMs.first * 2 ** entry.failures++, retryMs.last);
        this.#deps.log.warn({ podUid: uid, err: errorText(err), retryInMs }, 'pod status could not be written');
      }
    }
    entry.sending = false;
    if (this.#queue.get(uid) !== entry || entry.sent === entry.status) return;
    // It became Ready while the write before was on its way.
    const afterMs = isUrgent(entry.sent, entry.status) ? 0 : this.#options.coalesceMs;
    this.#schedule(uid, entry, retryInMs ?? afterMs);
  }
}

function isUrgent(sent: PodStatus | undefined, next: PodStatus): boolean {
  if (!sent || sent.phase !== next.phase || isReady(sent) !== isReady(next)) return true;
  return exits(sent) !== exits(next) || deviceHealth(sent) !== deviceHealth(next);
}

const isReady = (status: PodStatus): boolean =>
  status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;

/** Whoever watches over devices must hear at once of one that broke. */
const deviceHealth = (status: PodStatus): string =>
  JSON.stringify(
    [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].flatMap(
      ({ name, allocatedResourcesStatus }) => (allocatedResourcesStatus ? [[name, allocatedResourcesStatus]] : []),
    ),
  );

/** Grows with each container that ended. */
const exits = (status: PodStatus): number =>
  [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].reduce(
    (sum, container) => sum + (container.restartCount ?? 0) + (container.state?.terminated ? 1 : 0),
    0,
  );
