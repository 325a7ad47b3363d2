import { StateFile } from '../../../base/atomic-file.js';
import { toRfc3339, type Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';

/**
 * When each object of the manifests was first seen, which is as old as it can be said to be: a file says nothing of it, and its own
 * time changes with every edit. Survives a restart of the agent; an object that goes away and comes back is a new one.
 */
export class FirstSeenTimes {
  readonly #file: StateFile<Record<string, string>>;
  readonly #clock: Clock;
  readonly #log: Logger;
  #times: ReadonlyMap<string, string>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    file: StateFile<Record<string, string>>,
    times: ReadonlyMap<string, string>,
    { clock, log }: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#file = file;
    this.#times = times;
    this.#clock = clock;
    this.#log = log;
  }

  static async open(path: string, deps: { readonly clock: Clock; readonly log: Logger }): Promise<FirstSeenTimes> {
    // Lost in a power cut it costs an age, so it is not flushed.
    const file = new StateFile(path, 1, parseTimes, { flush: false });
    const read = await file.read();
    return new FirstSeenTimes(file, new Map(read.kind === 'read' ? Object.entries(read.data) : []), deps);
  }

  /** The time of each of these. Where they are `all` there are, others are forgotten. */
  of(keys: Iterable<string>, all: boolean): ReadonlyMap<string, string> {
    const before = this.#times;
    const now = toRfc3339(this.#clock.now());
    const times = [...keys].map((key) => [key, before.get(key) ?? now] as const);
    this.#times = new Map([...(all ? [] : before), ...times]);
    const same = before.size === this.#times.size && [...this.#times.keys()].every((key) => before.has(key));
    if (!same) this.#write(Object.fromEntries(this.#times));
    return this.#times;
  }

  #write(times: Record<string, string>): void {
    this.#writing = this.#writing
      .then(async () => await this.#file.write(times))
      .catch((err: unknown) => {
        this.#log.warn({ path: this.#file.path, err: errorText(err) }, 'ages of manifest objects are not kept');
      });
  }
}

function parseTimes(data: unknown): Record<string, string> {
  if (typeof data !== 'object' || data === null) throw new Error('not a map of times');
  for (const time of Object.values(data)) if (typeof time !== 'string') throw new Error('not a map of times');
  return data as Record<string, string>;
}
