import { rename } from 'node:fs/promises';
import { readIfPresent, writeFileAtomic } from '../../../base/atomic-file.js';

export type CheckpointRead<T> =
  | { readonly kind: 'read'; readonly state: T }
  | { readonly kind: 'missing' }
  /** It was renamed out of the way. */
  | { readonly kind: 'set-aside'; readonly reason: string; readonly movedTo: string };

/**
 * A state file in the kubelet's JSON shape. Its checksum is made over a dump of Go structures, which nobody else can make; ours is over
 * the JSON itself, and a file with another is taken when its content makes sense: `restore` decides.
 */
export class KubeletCheckpoint<T extends object> {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async write(state: T): Promise<void> {
    const body = JSON.stringify(state);
    await writeFileAtomic(this.#path, `${body.slice(0, -1)},"checksum":${fnv32a(body)}}`);
  }

  /** `restore` takes the content in or throws with the reason it cannot be. */
  async read(now: number, restore: (state: T) => void): Promise<CheckpointRead<T>> {
    const text = await readIfPresent(this.#path);
    if (text === undefined) return { kind: 'missing' };
    try {
      const { checksum: _checksum, ...state } = JSON.parse(text) as T & { checksum?: number };
      restore(state as unknown as T);
      return { kind: 'read', state: state as unknown as T };
    } catch (err) {
      const movedTo = `${this.#path}.corrupt-${now}`;
      await rename(this.#path, movedTo);
      return { kind: 'set-aside', reason: err instanceof Error ? err.message : String(err), movedTo };
    }
  }
}

const offsetBasis = 2_166_136_261;
const prime = 16_777_619;

export function fnv32a(text: string): number {
  let hash = offsetBasis;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, prime) >>> 0;
  return hash >>> 0;
}
