import type { Logger } from '../../base/log.js';
import { applyContainerEdits, CdiCache, type OciSpec } from '../../deviceplugin/index.js';

/** CDI devices for the embedded runtime; the folders are read when the first container names one. */
export class LazyCdi implements Disposable {
  readonly #folders: readonly string[] | undefined;
  readonly #log: Logger;
  #cache: CdiCache | undefined;

  constructor(folders: readonly string[] | undefined, log: Logger) {
    this.#folders = folders;
    this.#log = log;
  }

  async apply<S extends OciSpec>(names: readonly string[], spec: S): Promise<S> {
    this.#cache ??= new CdiCache({ folders: this.#folders }, { log: this.#log });
    return applyContainerEdits(spec, await this.#cache.resolve(names));
  }

  [Symbol.dispose](): void {
    this.#cache?.[Symbol.dispose]();
  }
}
