import { orAbort } from '../../../base/signals.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import { signalProcess } from '../host/process-identity.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { killContainer } from './kill-container.js';
import { lookAgain } from './settle-exit.js';
import { endUnwatched } from './end-unwatched.js';

/** How long the end may take to arrive after SIGKILL before it is looked for, and before it is a failure. */
const lookAfterKillMs = 2000;
const mostAfterKillMs = 30_000;

/**
 * The stops under way. A second call beside a running one does not send the stop signal again; a shorter timeout moves the
 * moment of SIGKILL forward.
 */
export class ContainerStops implements Disposable {
  readonly #running = new Map<string, Stop>();

  async stop(context: RuntimeContext, entry: ContainerEntry, graceMs: number, signal: AbortSignal): Promise<void> {
    if (entry.phase.kind === 'exited' || entry.phase.kind === 'creating') return;
    if (lookAgain(context, entry, true) === 'unwatched') {
      endUnwatched(context, entry);
      return;
    }
    let stop = this.#running.get(entry.id);
    if (stop === undefined) {
      stop = new Stop(context, entry, graceMs);
      const mine = stop;
      this.#running.set(entry.id, mine);
      void mine.ended.then(
        () => this.#running.delete(entry.id),
        () => this.#running.delete(entry.id),
      );
    } else {
      stop.shorten(graceMs);
    }
    // The caller may give up waiting; the stop goes on, since the signal cannot be taken back.
    await orAbort(stop.ended, signal);
  }

  /** The containers' ends are seen by the next runtime; what waits here is told. */
  [Symbol.dispose](): void {
    for (const stop of this.#running.values()) stop.giveUp();
    this.#running.clear();
  }
}

class Stop {
  readonly ended: Promise<void>;
  readonly #context: RuntimeContext;
  readonly #entry: ContainerEntry;
  #killAt: number;
  #timer: NodeJS.Timeout | undefined;
  #fail: (err: Error) => void = () => {};

  constructor(context: RuntimeContext, entry: ContainerEntry, graceMs: number) {
    this.#context = context;
    this.#entry = entry;
    entry.stopping = true;
    this.#killAt = performance.now() + graceMs;
    this.ended = new Promise((resolve, reject) => {
      this.#fail = reject;
      entry.onExit(() => {
        clearTimeout(this.#timer);
        resolve();
      });
    });
    this.ended.catch(() => {});
    const { phase } = entry;
    // A container that was never started has no program yet that could take a signal.
    if (phase.kind === 'running' && graceMs > 0) signalProcess(phase.init, entry.record.stopSignal);
    this.#arm(phase.kind === 'running' ? graceMs : 0);
  }

  shorten(graceMs: number): void {
    const killAt = performance.now() + graceMs;
    if (killAt >= this.#killAt) return;
    this.#killAt = killAt;
    this.#arm(graceMs);
  }

  giveUp(): void {
    clearTimeout(this.#timer);
    this.#fail(criError('aborted', `stop container ${this.#entry.id}: the runtime was closed`));
  }

  #arm(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#entry.phase.kind === 'exited') return;
    if (delayMs <= 0) this.#kill();
    else this.#timer = setTimeout(() => this.#kill(), Math.min(delayMs, 2 ** 31 - 1));
  }

  #kill(): void {
    this.#killAt = Number.NEGATIVE_INFINITY;
    try {
      killContainer(this.#context, this.#entry);
    } catch (err) {
      this.#fail(criError('internal', `stop container ${this.#entry.id}: send SIGKILL`, err));
      return;
    }
    this.#look(performance.now() + mostAfterKillMs);
  }

  /** The end comes as an event; this is for an event that was lost and a conmon that was killed. */
  #look(deadline: number): void {
    this.#timer = setTimeout(() => {
      const liveness = lookAgain(this.#context, this.#entry, true);
      if (liveness === 'ended') return;
      if (liveness === 'unwatched') endUnwatched(this.#context, this.#entry);
      else if (performance.now() < deadline) this.#look(deadline);
      else {
        const seconds = Math.round(mostAfterKillMs / 1000);
        this.#fail(
          criError('deadline-exceeded', `stop container ${this.#entry.id}: still there ${seconds} s after SIGKILL`),
        );
      }
    }, lookAfterKillMs);
  }
}
