import type { Clock } from '../../base/clock.js';
import { linkSignal, onAbort, type LinkedSignal } from '../../base/signals.js';
import type { PodUid } from '../api/index.js';

export interface OngoingWorkOptions {
  /** How long after the work began who asked is told that it takes longer. */
  readonly patienceMs: number;
}

/** Work that has not ended; it goes on. */
export interface Ongoing {
  /** ms, of the wall clock. */
  readonly since: number;
}

export interface WorkRequest {
  readonly uid: PodUid;
  readonly what: string;
  /** Grows when there is a reason to do it anew: work that was begun before such a reason is not the answer to who asks after it. */
  readonly version: number;
  /** Told of the end of work that took too long to wait for. */
  readonly later: () => void;
}

interface Running<T> {
  readonly version: number;
  readonly since: number;
  readonly began: number;
  readonly link: LinkedSignal;
  readonly done: Promise<T>;
  settled: boolean;
  told: boolean;
}

/**
 * Work on volumes that may hang for minutes in the hands of a driver. Who asks for it waits a moment and is then told that it goes on, so that
 * a pod can say what it waits for and its other volumes are looked after; the next who asks for the same joins it.
 */
export class OngoingWork<T> implements AsyncDisposable {
  readonly #options: OngoingWorkOptions;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #lifetime: AbortSignal;
  readonly #running = new Map<string, Running<T>>();

  constructor(options: OngoingWorkOptions, clock: Pick<Clock, 'now'>, lifetime: AbortSignal) {
    this.#options = options;
    this.#clock = clock;
    this.#lifetime = lifetime;
  }

  /**
   * How it ended, or since when it goes on; then `later` is called at its end, whose outcome waits for the next who asks. `current` is false for
   * work of an earlier version. When the signal aborts while it is waited for, the work is aborted too and is over when this rejects.
   */
  async run(
    { uid, what, version, later }: WorkRequest,
    work: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<{ readonly ended: T; readonly current: boolean } | Ongoing> {
    signal.throwIfAborted();
    const key = keyOf(uid, what);
    const running = this.#running.get(key) ?? this.#start(key, version, work);
    const ended = running.settled || (await this.#patiently(running, signal));
    if (signal.aborted) {
      running.link.abort(signal.reason);
      await running.done.catch(() => {});
    } else if (!ended) {
      if (!running.told) running.done.then(later, later);
      running.told = true;
      return { since: running.since };
    }
    if (this.#running.get(key) === running) this.#running.delete(key);
    signal.throwIfAborted();
    return { ended: await running.done, current: running.version === version };
  }

  /** The work of the pod that goes on now. */
  list(uid: PodUid): ({ readonly what: string } & Ongoing)[] {
    const start = keyOf(uid, '');
    return [...this.#running].flatMap(([key, { since, settled }]) =>
      settled || !key.startsWith(start) ? [] : [{ what: key.slice(start.length), since }],
    );
  }

  /** Nothing of the pod goes on later than this. */
  async stop(uid: PodUid): Promise<void> {
    await this.#end((key) => key.startsWith(keyOf(uid, '')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end(() => true);
  }

  async #end(which: (key: string) => boolean): Promise<void> {
    const ending = [...this.#running].filter(([key]) => which(key));
    for (const [, { link }] of ending) link.abort(new DOMException('the volume is not wanted any more', 'AbortError'));
    for (const [key, running] of ending) {
      await running.done.catch(() => {});
      if (this.#running.get(key) === running) this.#running.delete(key);
    }
  }

  #start(key: string, version: number, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const link = linkSignal(this.#lifetime);
    const running: Running<T> = {
      version,
      since: this.#clock.now(),
      began: performance.now(),
      link,
      done: work(link.signal).finally(() => {
        running.settled = true;
        link[Symbol.dispose]();
      }),
      settled: false,
      told: false,
    };
    // Its failure is told to whoever asks next, and that may be nobody.
    running.done.catch(() => {});
    this.#running.set(key, running);
    return running;
  }

  /** False when it takes longer, or the signal aborted. */
  async #patiently(running: Running<T>, signal: AbortSignal): Promise<boolean> {
    const patienceMs = running.began + this.#options.patienceMs - performance.now();
    if (patienceMs <= 0) return false;
    return await new Promise((resolve) => {
      const settle = (ended: boolean): void => {
        clearTimeout(timer);
        unlink();
        resolve(ended);
      };
      const timer = setTimeout(() => settle(false), patienceMs);
      const unlink = onAbort(signal, () => settle(false));
      running.done.then(
        () => settle(true),
        () => settle(true),
      );
    });
  }
}

const keyOf = (uid: PodUid, what: string): string => `${uid} ${what}`;
