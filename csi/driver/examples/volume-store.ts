import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../../base/atomic-file.js';
import { errnoOf } from '../../../base/errors.js';
import { DriverError } from './driver-error.js';

export interface StoredVolume {
  readonly id: string;
  readonly name: string;
  /** A folder, or a disk image that becomes a loop device. */
  readonly kind: 'directory' | 'image';
  readonly bytes: number;
  /** Belongs to one pod and goes with it. */
  readonly ephemeral: boolean;
  /** The node it is attached to; only when the driver attaches. */
  readonly attachedTo?: string | undefined;
  /** Where it is published now; noted before the mount is made. */
  readonly targets?: readonly string[] | undefined;
}

/** All that this driver knows lies on disk: it may be killed at any line. */
export class VolumeStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = join(folder, 'volumes');
  }

  /** The same name is the same volume, so the id follows from it. */
  idOf(name: string): string {
    return `vol-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
  }

  dataPath(volume: StoredVolume): string {
    return join(this.#folder, volume.id, volume.kind === 'directory' ? 'data' : 'disk.img');
  }

  async find(id: string): Promise<StoredVolume | undefined> {
    // An id becomes a path: one that was not made here is no volume of ours.
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(id)) return undefined;
    try {
      return JSON.parse(await readFile(join(this.#folder, id, 'volume.json'), 'utf8')) as StoredVolume;
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return undefined;
      throw err;
    }
  }

  async get(id: string): Promise<StoredVolume> {
    const volume = await this.find(id);
    if (volume === undefined) throw new DriverError('NOT_FOUND', `there is no volume ${id}`);
    return volume;
  }

  async list(): Promise<StoredVolume[]> {
    await mkdir(this.#folder, { recursive: true });
    const volumes = await Promise.all((await readdir(this.#folder)).sort().map((id) => this.find(id)));
    return volumes.filter((volume) => volume !== undefined);
  }

  /** The data first and the record last: a volume that has a record is whole. */
  async create(volume: StoredVolume): Promise<void> {
    await mkdir(join(this.#folder, volume.id), { recursive: true });
    const data = this.dataPath(volume);
    if (volume.kind === 'directory') {
      await mkdir(data, { recursive: true });
      // The pod's user is not known here; who may write is up to fsGroup.
      await chmod(data, 0o777);
    } else {
      await writeFile(data, '', { flag: 'a' });
      await truncate(data, volume.bytes);
    }
    await this.save(volume);
  }

  async save(volume: StoredVolume): Promise<void> {
    await writeFileAtomic(join(this.#folder, volume.id, 'volume.json'), JSON.stringify(volume));
  }

  /** Never makes an image smaller. */
  async grow(volume: StoredVolume, bytes: number): Promise<StoredVolume> {
    if (bytes <= volume.bytes) return volume;
    const data = this.dataPath(volume);
    if (volume.kind === 'image' && (await stat(data)).size < bytes) await truncate(data, bytes);
    const grown = { ...volume, bytes };
    await this.save(grown);
    return grown;
  }

  async remove(volume: StoredVolume): Promise<void> {
    await rm(join(this.#folder, volume.id), { recursive: true, force: true });
  }
}
