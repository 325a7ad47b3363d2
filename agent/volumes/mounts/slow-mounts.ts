import type { Clock } from '../../../base/clock.js';
import { programSucceeded, type ProgramResult } from '../../../base/run-program.js';
import { linkSignal, onAbort, type LinkedSignal } from '../../../base/signals.js';
import type { Mounter, MountRequest } from './mounter.js';

export interface SlowMountsOptions {
  /** How long who asks waits for the end before he is told that it takes longer. */
  readonly patienceMs: number;
  /** The program is killed after this long. */
  readonly timeoutMs: number;
}

export interface SlowMountsDeps {
  readonly mounter: Pick<Mounter, 'mountOne'>;
  readonly clock: Clock;
}

/** A mount program that has not ended. */
export interface SlowMount {
  /** ms, of the wall clock. */
  readonly since: number;
  /** What it printed so far. */
  readonly said: string;
}

interface Running {
  readonly since: number;
  readonly link: LinkedSignal;
  readonly done: Promise<ProgramResult>;
  said: string;
  result: ProgramResult | undefined;
}

/**
 * Mounts from servers that may be away. The program waits for minutes, and a pod that says nothing until then helps nobody: who asks is
 * told after a few seconds, the program goes on, and the next who asks for this target joins it.
 */
export class SlowMounts {
  readonly #options: SlowMountsOptions;
  readonly #deps: SlowMountsDeps;
  readonly #lifetime: AbortSignal;
  readonly #running = new Map<string, Running>();

  constructor(options: SlowMountsOptions, deps: SlowMountsDeps, lifetime: AbortSignal) {
    this.#options = options;
    this.#deps = deps;
    this.#lifetime = lifetime;
  }

  /** How it ended, or what there is while it goes on; then `later` is called at its end. Giving up by the signal leaves it running. */
  async mount(request: MountRequest, later: () => void, signal: AbortSignal): Promise<ProgramResult | SlowMount> {
    const { target } = request;
    const running = this.#running.get(target) ?? this.#start(request);
    const result = running.result ?? (await this.#patiently(running.done, signal));
    if (!result) {
      running.done.then(later, () => {});
      return { since: running.since, said: running.said.trim() };
    }
    if (this.#running.get(target) === running) this.#running.delete(target);
    return result;
  }

  /** Nothing is mounted there later than this. */
  async stop(target: string): Promise<void> {
    const running = this.#running.get(target);
    if (!running) return;
    running.link.abort(new DOMException('the mount is not wanted any more', 'AbortError'));
    await running.done.catch(() => {});
    if (this.#running.get(target) === running) this.#running.delete(target);
  }

  #start(request: MountRequest): Running {
    const link = linkSignal(this.#lifetime);
    const onStderr = (chunk: string): void => {
      running.said = `${running.said}${chunk}`.slice(-mostWords);
    };
    const program = this.#deps.mounter.mountOne(request, this.#options.timeoutMs, link.signal, onStderr);
    const running: Running = {
      since: this.#deps.clock.now(),
      link,
      done: program.finally(() => link[Symbol.dispose]()),
      said: '',
      result: undefined,
    };
    this.#running.set(request.target, running);
    running.done.then(
      (result) => {
        running.result = result;
        // What is mounted is seen in the mount table; why it is not must be told to the next who asks.
        if (programSucceeded(result)) this.#running.delete(request.target);
      },
      () => void this.#running.delete(request.target),
    );
    return running;
  }

  async #patiently(done: Promise<ProgramResult>, signal: AbortSignal): Promise<ProgramResult | undefined> {
    signal.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(() => resolve(undefined)), this.#options.patienceMs);
      const unlink = onAbort(signal, () => settle(() => reject(signal.reason as Error)));
      const settle = (how: () => void): void => {
        clearTimeout(timer);
        unlink();
        how();
      };
      done.then(
        (result) => settle(() => resolve(result)),
        (err: unknown) => settle(() => reject(err)),
      );
    });
  }
}

/** Of the program's words the last are kept. */
const mostWords = 2000;
