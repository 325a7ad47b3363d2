import { orAbort } from '../../base/signals.js';

interface Waiter {
  readonly enter: () => void;
}

/**
 * Bounds how many pods the machine starts at once. First come first served, but a container of a pod whose sandbox exists goes
 * before a new sandbox: a burst of pods then becomes ready one after another, not all at the end.
 */
export class StartGate {
  readonly #limit: number;
  readonly #queues: Readonly<Record<'container' | 'sandbox', Waiter[]>> = { container: [], sandbox: [] };
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  async run<T>(what: 'container' | 'sandbox', work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#enter(what, signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #enter(what: 'container' | 'sandbox', signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < this.#limit) {
      this.#running++;
      return;
    }
    const queue = this.#queues[what];
    let entered = false;
    let waiter: Waiter | undefined;
    const turn = new Promise<void>((resolve) => {
      waiter = {
        enter: () => {
          entered = true;
          resolve();
        },
      };
      queue.push(waiter);
    });
    try {
      await orAbort(turn, signal);
    } catch (err) {
      if (entered) this.#leave();
      else queue.splice(queue.indexOf(waiter as Waiter), 1);
      throw err;
    }
  }

  #leave(): void {
    const next = this.#queues.container.shift() ?? this.#queues.sandbox.shift();
    if (next) next.enter();
    else this.#running--;
  }
}
