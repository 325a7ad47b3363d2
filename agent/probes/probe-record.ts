import { StateFile } from '../../base/atomic-file.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';

/** How far a running container with probes has come; `ready` is what most of them are and is not written down. */
export type ProbedState = 'unstarted' | 'unready' | 'ready';

const states: ReadonlySet<unknown> = new Set(['unstarted', 'unready']);

/**
 * Which containers were not ready, for the next agent: on a machine without a cluster nobody else remembers it, and a container must not
 * seem ready until its first probe only because the agent was restarted. Writes are joined and never waited for.
 */
export class ProbeRecord implements AsyncDisposable {
  readonly #file: StateFile<Readonly<Record<string, ProbedState>>>;
  readonly #log: Logger;
  readonly #before: ReadonlyMap<string, ProbedState>;
  readonly #now = new Map<string, ProbedState>();
  #writing: Promise<void> = Promise.resolve();
  #isQueued = false;

  private constructor(
    file: StateFile<Readonly<Record<string, ProbedState>>>,
    before: ReadonlyMap<string, ProbedState>,
    log: Logger,
  ) {
    this.#file = file;
    this.#before = before;
    this.#log = log;
  }

  static async open(path: string, log: Logger): Promise<ProbeRecord> {
    const file = new StateFile(path, 1, parse, { flush: false });
    const read = await file.read();
    if (read.kind === 'set-aside') log.warn({ path, reason: read.reason }, 'probe record unreadable, set aside');
    return new ProbeRecord(file, new Map(Object.entries(read.kind === 'read' ? read.data : {})), log);
  }

  /** What an earlier agent knew of a container. */
  before(containerId: string): ProbedState {
    return this.#before.get(containerId) ?? 'ready';
  }

  /** `ready` also for a container that is gone. */
  set(containerId: string, state: ProbedState): void {
    if ((this.#now.get(containerId) ?? 'ready') === state) return;
    if (state === 'ready') this.#now.delete(containerId);
    else this.#now.set(containerId, state);
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#writing = this.#writing.then(() => this.#write());
  }

  /** Waits for the last write. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    this.#isQueued = false;
    try {
      await this.#file.write(Object.fromEntries(this.#now));
    } catch (err) {
      this.#log.warn({ err: errorText(err) }, 'probe results not recorded, the next agent takes containers for ready');
    }
  }
}

function parse(data: unknown): Readonly<Record<string, ProbedState>> {
  if (typeof data !== 'object' || data === null) throw new Error('not an object');
  if (!Object.values(data).every((state) => states.has(state))) throw new Error('unknown state of a container');
  return data as Readonly<Record<string, ProbedState>>;
}
