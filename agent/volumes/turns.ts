import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * One turn of the event loop for each who asks, in order. Writing the volumes of a hundred pods one after another would hold up for a second
 * what is further on: programs that ended and sandboxes that could start meanwhile.
 */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** What follows it runs before the next one's. */
  async next(): Promise<void> {
    const turn = this.#last.then(() => nextTurn());
    this.#last = turn;
    await turn;
  }
}
