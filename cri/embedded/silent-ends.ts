import { runEvery } from '../../base/run-every.js';
import { refresh } from './containers/container-status.js';
import type { RuntimeContext } from './context.js';
import { sandboxState } from './sandboxes/sandbox-status.js';

const lookEveryMs = 1000;
/** Thorough looks a round, whatever the number of objects. */
const thoroughAtOnce = 16;

/**
 * Finds the ends that nobody announces: a conmon that was killed writes no exit file, and the kernel does not tell who unmounts a pinned
 * namespace. Neither has a file that Node could watch, and an open descriptor per container would cost more than looking: one
 * `kill(pid, 0)` per container and round, about a microsecond, reads nothing. A few objects a round have their turn for the thorough
 * look: whether the process is still the same one and no zombie, whether the pins are still the same namespaces.
 */
export async function watchSilentEnds(context: RuntimeContext, signal: AbortSignal): Promise<void> {
  const looks = new SilentEnds(context);
  const round = (): Promise<void> => Promise.resolve(looks.round());
  await runEvery({ what: 'look for silent ends', everyMs: lookEveryMs }, round, context.deps, signal);
}

class SilentEnds {
  readonly #context: RuntimeContext;
  #turn = 0;

  constructor(context: RuntimeContext) {
    this.#context = context;
  }

  /** What has ended is settled, which tells the readers of events. */
  round(): void {
    const { containers, inits, sandboxes } = this.#context;
    // The init of a sandbox that is being stopped ends without a word, and nobody asks when.
    const needed = [...inits.values()].filter(({ id }) => sandboxes.get(id)?.phase === 'ready');
    const watched = [...containers.values(), ...needed].filter(
      ({ phase: { kind } }) => kind === 'created' || kind === 'running',
    );
    const context = this.#context;
    for (const entry of watched) this.#attempt(entry.id, () => refresh(context, entry, false));
    const thorough = [
      ...watched.map((entry) => ({ id: entry.id, look: () => refresh(context, entry, true) })),
      ...[...sandboxes.values()].map((sandbox) => ({ id: sandbox.id, look: () => sandboxState(context, sandbox) })),
    ];
    for (let count = Math.min(thoroughAtOnce, thorough.length); count > 0; count--) {
      const next = thorough[this.#turn++ % thorough.length];
      if (next !== undefined) this.#attempt(next.id, next.look);
    }
  }

  /** What goes wrong with one is no reason not to look at the next. */
  #attempt(id: string, look: () => void): void {
    try {
      look();
    } catch (err) {
      this.#context.deps.log.error({ err, id }, 'look at a container or sandbox failed');
    }
  }
}
