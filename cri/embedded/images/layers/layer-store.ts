import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeUnfinishedWrites, StateFile } from '../../../../base/atomic-file.js';
import { errnoOf } from '../../../../base/errors.js';
import { KeyedLock } from '../../../../base/fifo-limit.js';
import type { Logger } from '../../../../base/log.js';
import { isDigest } from '../reference.js';
import { unpackLayer } from './unpack-layer.js';

export interface LayerRecord {
  readonly chainId: string;
  readonly diffId: string;
  /** Name of the folder under `l/`. */
  readonly folder: string;
  readonly contentBytes: number;
  readonly diskBytes: number;
  readonly inodes: number;
}

export interface LayerStoreOptions {
  readonly dir: string;
  readonly tarPath: string;
  readonly zstdPath: string;
  /** Puts what was written to the file system of the path on the disk. */
  readonly flush: (path: string, signal: AbortSignal) => Promise<void>;
}

/**
 * Unpacked layers, one folder for each chain id: what a layer's implicit folders look like depends on the layers below, so the
 * chain is its identity. A folder counts when its record is there; the record is written last and removed first.
 */
export class LayerStore {
  readonly #options: LayerStoreOptions;
  readonly #folders: string;
  readonly #recordsDir: string;
  readonly #work: string;
  readonly #byChain = new Map<string, LayerRecord>();
  readonly #locks = new KeyedLock();
  #lastNumber = 0;

  private constructor(options: LayerStoreOptions) {
    this.#options = options;
    this.#folders = join(options.dir, 'l');
    this.#recordsDir = join(options.dir, 'layers');
    this.#work = join(options.dir, 'tmp');
  }

  /** Reads the records; removes folders that have none (an unpack that was cut off) and records that lost their folder. */
  static async open(options: LayerStoreOptions, log: Logger): Promise<LayerStore> {
    const store = new LayerStore(options);
    for (const dir of [store.#folders, store.#recordsDir, store.#work])
      await mkdir(dir, { recursive: true, mode: 0o700 });
    // Overlay mounts look into it as the users of containers.
    await chmod(store.#folders, 0o755);
    const folders = new Set(await readdir(store.#folders));
    await removeUnfinishedWrites(store.#recordsDir);
    for (const name of await readdir(store.#recordsDir)) {
      if (name.includes('.json.')) continue;
      const read = await store.#file(name).read();
      if (read.kind === 'read' && folders.has(read.data.folder)) store.#byChain.set(read.data.chainId, read.data);
      else {
        log.warn(
          { record: name, reason: read.kind === 'set-aside' ? read.reason : 'its folder is gone' },
          'layer record dropped',
        );
        await rm(join(store.#recordsDir, name), { force: true });
      }
    }
    const known = new Set([...store.#byChain.values()].map((record) => record.folder));
    for (const folder of folders) {
      store.#lastNumber = Math.max(store.#lastNumber, Number.parseInt(folder, 36) || 0);
      if (!known.has(folder)) await rm(join(store.#folders, folder), { recursive: true, force: true });
    }
    return store;
  }

  get(chainId: string): LayerRecord | undefined {
    return this.#byChain.get(chainId);
  }

  all(): Iterable<LayerRecord> {
    return this.#byChain.values();
  }

  path(record: LayerRecord): string {
    return join(this.#folders, record.folder);
  }

  /** Unpacks the layer when that was not done before. `below` are the layers under it, bottom first; `blob` is its file. */
  async ensure(
    chainId: string,
    diffId: string,
    below: readonly LayerRecord[],
    blob: string,
    signal: AbortSignal,
  ): Promise<LayerRecord> {
    const unpack = async (): Promise<LayerRecord> => {
      const known = this.#byChain.get(chainId);
      if (known !== undefined) return known;
      const folder = (++this.#lastNumber).toString(36);
      const target = join(this.#work, `layer-${folder}`);
      try {
        await mkdir(target, { mode: 0o755 });
        await chmod(target, 0o755);
        const size = await unpackLayer(
          {
            blob,
            diffId,
            target,
            lowerDirs: below.map((record) => this.path(record)).toReversed(),
            programs: { tar: this.#options.tarPath, zstd: this.#options.zstdPath },
          },
          signal,
        );
        await this.#options.flush(target, signal);
        const record = { chainId, diffId, folder, ...size };
        await rename(target, this.path(record));
        await this.#file(fileName(chainId)).write(record);
        this.#byChain.set(chainId, record);
        return record;
      } catch (err) {
        await rm(target, { recursive: true, force: true });
        await rm(join(this.#folders, folder), { recursive: true, force: true });
        throw err;
      }
    };
    return this.#byChain.get(chainId) ?? (await this.#locks.run(chainId, unpack, signal));
  }

  /** Removes every layer `keep` does not want. The record goes first, so that a half removed folder never counts. */
  async removeUnless(keep: (record: LayerRecord) => boolean): Promise<number> {
    const gone = [...this.#byChain.values()].filter((record) => !keep(record));
    for (const record of gone) {
      await this.#file(fileName(record.chainId)).remove();
      this.#byChain.delete(record.chainId);
      await removeIfPresent(this.path(record));
    }
    return gone.length;
  }

  #file(name: string): StateFile<LayerRecord> {
    return new StateFile(join(this.#recordsDir, name), 1, parseRecord);
  }
}

function fileName(chainId: string): string {
  return `${chainId.replace(':', '-')}.json`;
}

async function removeIfPresent(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 2 });
  } catch (err) {
    if (errnoOf(err) !== 'ENOENT') throw err;
  }
}

function parseRecord(data: unknown): LayerRecord {
  const from = data as Partial<LayerRecord> | null;
  const numbers = [from?.contentBytes, from?.diskBytes, from?.inodes];
  if (
    typeof from?.folder !== 'string' ||
    !/^[0-9a-z]+$/.test(from.folder) ||
    !isDigest(String(from.chainId)) ||
    !isDigest(String(from.diffId)) ||
    !numbers.every((value) => Number.isSafeInteger(value))
  ) {
    throw new Error('not a layer record');
  }
  return from as LayerRecord;
}
