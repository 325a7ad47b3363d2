import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { PodFolders } from '../executors/executor-deps.js';
import type { Pod, PodUid } from '../api/index.js';

/** The files the agent itself keeps for a pod under `pods/<uid>`: hosts file, termination messages. */
export class PodFiles implements PodFolders {
  readonly #podsDir: string;

  constructor(rootDir: string) {
    this.#podsDir = join(rootDir, 'pods');
  }

  folder(uid: string): string {
    return join(this.#podsDir, uid);
  }

  async prepare(uid: PodUid): Promise<void> {
    const folder = this.folder(uid);
    for (const part of ['volumes', 'plugins', 'containers'])
      await mkdir(join(folder, part), { recursive: true, mode: 0o750 });
  }

  /** Removes the folder; what the agent did not put there itself keeps it, and is named in the error. */
  async remove(uid: PodUid): Promise<void> {
    const folder = this.folder(uid);
    await rm(join(folder, 'etc-hosts'), { force: true });
    // Only files and folders of ours lie below `containers`; a container sees single files of it, never the folder.
    await rm(join(folder, 'containers'), { recursive: true, force: true });
    for (const part of ['volumes', 'volumeDevices', 'plugins', 'volume-subpaths'])
      await removeEmptyFolders(join(folder, part));
    await rmdir(folder).catch((err: unknown) => {
      if (errnoOf(err) !== 'ENOENT') throw err;
    });
  }

  /** Uids that have a folder, for finding what earlier runs left. */
  async present(): Promise<readonly PodUid[]> {
    return (await readdir(this.#podsDir).catch(() => [])) as string[] as PodUid[];
  }

  async writeHosts(pod: Pod, text: string): Promise<string> {
    const path = join(this.folder(pod.metadata?.uid ?? ''), 'etc-hosts');
    // In place: containers that run already have this very file mounted.
    await writeFile(path, text, { mode: 0o644 });
    return path;
  }

  /** A file of its own for each start, world-writable because the container may run as anyone. */
  async makeTerminationLog(pod: Pod, container: string): Promise<string> {
    const folder = join(this.folder(pod.metadata?.uid ?? ''), 'containers', container);
    await mkdir(folder, { recursive: true, mode: 0o750 });
    const path = join(folder, randomBytes(4).toString('hex'));
    await writeFile(path, '', { flag: 'wx' });
    await chmod(path, 0o666);
    return path;
  }
}

/** Folders only, deepest first: a file or a mount below stops it, with the kernel's own words. */
async function removeEmptyFolders(path: string): Promise<void> {
  const info = await lstat(path).catch(() => undefined);
  if (!info?.isDirectory()) return;
  for (const name of await readdir(path)) await removeEmptyFolders(join(path, name));
  await rmdir(path);
}
