import { rename } from 'node:fs/promises';
import { readIfPresent, writeFileAtomic } from '../../../base/atomic-file.js';
import { BerthError } from '../../../base/errors.js';

export type CheckpointRead<T> =
  | { readonly kind: 'read'; readonly state: T }
  | { readonly kind: 'missing' }
  /** It was renamed out of the way. */
  | { readonly kind: 'set-aside'; readonly reason: string; readonly movedTo: string };

/**
 * The file is of another policy, or what it grants is reserved for the machine now: what runs was placed by other rules, and only the node's
 * operator knows what may become of it.
 */
export class DrainNeeded extends BerthError<{ code: 'policy-changed' | 'reservation-changed' }> {}

interface Named {
  readonly policyName: string;
}

/** A state file in the kubelet's JSON shape and with its checksum, so that either agent can take over from the other. */
export class KubeletCheckpoint<T extends Named> {
  readonly #path: string;
  readonly #what: string;
  readonly #checksum: (state: T) => number;

  /** `what` as in "the CPU manager checkpoint file". */
  constructor(path: string, what: string, checksum: (state: T) => number) {
    this.#path = path;
    this.#what = what;
    this.#checksum = checksum;
  }

  async write(state: T): Promise<void> {
    await writeFileAtomic(this.#path, JSON.stringify({ ...state, checksum: this.#checksum(state) }));
  }

  /** Throws `DrainNeeded` when there is a file of another policy (the kubelet's words). */
  async checkPolicy(policyName: string): Promise<void> {
    const found = await this.#parse().catch(() => undefined);
    if (found === undefined || found.policyName === policyName) return;
    const reason = `configured policy "${policyName}" differs from state checkpoint policy "${found.policyName}"`;
    throw this.#asked(new DrainNeeded(reason, { code: 'policy-changed' }));
  }

  /** `restore` takes the content in or throws with the reason it cannot be; a `DrainNeeded` leaves the file where it is and is thrown on. */
  async read(now: number, restore: (state: T) => void): Promise<CheckpointRead<T>> {
    try {
      const state = await this.#parse();
      if (state === undefined) return { kind: 'missing' };
      const { checksum, ...own } = state;
      if (checksum !== undefined && checksum !== 0 && checksum !== this.#checksum(own as unknown as T))
        throw new Error('checkpoint is corrupted');
      restore(own as unknown as T);
      return { kind: 'read', state: own as unknown as T };
    } catch (err) {
      if (err instanceof DrainNeeded) throw this.#asked(err);
      const movedTo = `${this.#path}.corrupt-${now}`;
      await rename(this.#path, movedTo);
      return { kind: 'set-aside', reason: err instanceof Error ? err.message : String(err), movedTo };
    }
  }

  /** With what the operator is to do. */
  #asked({ message, failure }: DrainNeeded): DrainNeeded {
    return new DrainNeeded(
      `could not restore state from checkpoint: ${message}, please drain this node and delete the ${this.#what} checkpoint file "${this.#path}" before restarting berth`,
      failure,
    );
  }

  async #parse(): Promise<(T & { readonly checksum?: number }) | undefined> {
    const text = await readIfPresent(this.#path);
    return text === undefined ? undefined : (JSON.parse(text) as T & { readonly checksum?: number });
  }
}
