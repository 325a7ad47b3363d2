import { randomBytes } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { PodFolders } from '../executors/executor-deps.js';
import type { Pod, PodUid } from '../api/index.js';

/**
 * The files the agent itself keeps for a pod under `pods/<uid>`: hosts file, user ids, termination messages. Small and on the node's own disk, none
 * of them flushed: made and removed synchronously, because the trips through the thread pool cost more than the calls.
 */
export class PodFiles implements PodFolders {
  readonly #podsDir: string;

  constructor(rootDir: string) {
    this.#podsDir = join(rootDir, 'pods');
  }

  folder(uid: string): string {
    return join(this.#podsDir, uid);
  }

  prepare(uid: PodUid): void {
    const folder = this.folder(uid);
    for (const part of ['volumes', 'plugins', 'containers'])
      mkdirSync(join(folder, part), { recursive: true, mode: 0o750 });
  }

  /** Removes the folder; what the agent did not put there itself keeps it, and is named in the error. */
  remove(uid: PodUid): void {
    const folder = this.folder(uid);
    for (const file of ['etc-hosts', 'userns', 'userns.new']) rmSync(join(folder, file), { force: true });
    removeContainers(join(folder, 'containers'));
    for (const part of ['volumes', 'volumeDevices', 'plugins', 'volume-subpaths'])
      removeEmptyFolders(join(folder, part));
    removeFolder(folder);
  }

  /** Uids that have a folder, for finding what earlier runs left. */
  async present(): Promise<readonly PodUid[]> {
    return (await readdir(this.#podsDir).catch(() => [])) as string[] as PodUid[];
  }

  writeHosts(pod: Pod, text: string): string {
    const path = join(this.folder(pod.metadata?.uid ?? ''), 'etc-hosts');
    // In place: containers that run already have this very file mounted.
    writeFileSync(path, text, { mode: 0o644 });
    return path;
  }

  /** A file of its own for each start, world-writable because the container may run as anyone. */
  makeTerminationLog(pod: Pod, container: string): string {
    const folder = join(this.folder(pod.metadata?.uid ?? ''), 'containers', container);
    mkdirSync(folder, { recursive: true, mode: 0o750 });
    const path = join(folder, randomBytes(4).toString('hex'));
    writeFileSync(path, '', { flag: 'wx' });
    chmodSync(path, 0o666);
    return path;
  }
}

/** Folders only, deepest first: a file or a mount below stops it, with the kernel's own words. */
function removeEmptyFolders(path: string): void {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  for (const name of readdirSync(path)) removeEmptyFolders(join(path, name));
  rmdirSync(path);
}

/** Only folders of ours with files of ours lie below `containers`; a container sees single files of it, never a folder. */
function removeContainers(path: string): void {
  for (const name of listing(path)) {
    for (const file of listing(join(path, name))) unlinkSync(join(path, name, file));
    rmdirSync(join(path, name));
  }
  removeFolder(path);
}

function removeFolder(path: string): void {
  try {
    rmdirSync(path);
  } catch (err) {
    if (errnoOf(err) !== 'ENOENT') throw err;
  }
}

function listing(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  }
}
