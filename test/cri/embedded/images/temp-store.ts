import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noRecorder } from '../../../../base/call-recorder.js';
import { systemClock } from '../../../../base/clock.js';
import { silentLogger } from '../../../../base/log.js';
import { runProgram } from '../../../../base/run-program.js';
import {
  openImageStore,
  type ImageStore,
  type ImageStoreDeps,
  type ImageStoreOptions,
} from '../../../../cri/embedded/images/index.js';
import { tryHostProgram } from '../../../support/host-program.js';
import { LeakCheck, type LeakKind } from '../../../support/leak-check.js';

export const never: AbortSignal = new AbortController().signal;

/** An image store in a folder of its own, which may be closed and opened again; gone when disposed. */
export class TempStore implements AsyncDisposable {
  readonly dir: string;
  readonly #options: Partial<ImageStoreOptions>;
  readonly #deps: Partial<ImageStoreDeps>;
  readonly #own: boolean;
  store: ImageStore;

  private constructor(
    dir: string,
    own: boolean,
    options: Partial<ImageStoreOptions>,
    deps: Partial<ImageStoreDeps>,
    store: ImageStore,
  ) {
    this.dir = dir;
    this.#own = own;
    this.#options = options;
    this.#deps = deps;
    this.store = store;
  }

  static async open(options: Partial<ImageStoreOptions> = {}, deps: Partial<ImageStoreDeps> = {}): Promise<TempStore> {
    const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'brt-img-')));
    return new TempStore(dir, options.dir === undefined, options, deps, await openAt(dir, options, deps));
  }

  async reopen(changed: Partial<ImageStoreOptions> = {}): Promise<ImageStore> {
    await this.store[Symbol.asyncDispose]();
    this.store = await openAt(this.dir, { ...this.#options, ...changed }, this.#deps);
    return this.store;
  }

  /** What lies in the store: unpacked layers, blobs, work under way. */
  async content(): Promise<{ layers: string[]; records: string[]; blobs: string[]; work: string[] }> {
    const list = async (...parts: string[]): Promise<string[]> => (await readdir(join(this.dir, ...parts))).sort();
    return {
      layers: await list('l'),
      records: await list('layers'),
      blobs: await list('oci', 'blobs', 'sha256'),
      work: await list('tmp'),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    const { work } = await this.content();
    if (this.#own) await rm(this.dir, { recursive: true, force: true });
    if (work.length > 0) throw new Error(`left in the store's work folder: ${work.join()}`);
  }
}

async function openAt(
  dir: string,
  options: Partial<ImageStoreOptions>,
  deps: Partial<ImageStoreDeps>,
): Promise<ImageStore> {
  return await openImageStore(
    { flush: false, progressEveryMs: 20, ...options, dir },
    { run: runProgram, recorder: noRecorder, log: silentLogger, clock: systemClock, ...deps },
    never,
  );
}

/** Throws the reason when a program the suite needs is not there; `describe.skipIf` prints it. */
export async function missingProgram(...names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const result = await tryHostProgram([name, '--version']);
    if (result.end.kind === 'not-started') return name;
  }
  return undefined;
}

/** A folder that is gone when disposed; what is left then of the `watched` kinds, and names it, is a leak. */
export async function tempFolder(
  watched: readonly LeakKind[] = [],
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'brt-imgt-'));
  const leaks = await LeakCheck.open({ kinds: watched, tokens: [path] });
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true });
      await leaks[Symbol.asyncDispose]();
    },
  };
}
