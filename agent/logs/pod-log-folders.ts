import { mkdirSync } from 'node:fs';
import { mkdir, readdir, readlink, rm, rmdir, symlink, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { Pod, PodUid } from '../api/index.js';
import type { PodLogs } from '../executors/executor-deps.js';
import type { ObservedContainer } from '../podloop/pod-facts.js';

export interface PodLogOptions {
  /** `/var/log/pods`. */
  readonly podLogsDir: string;
  /** `/var/log/containers`, where older log shippers look; undefined for none. */
  readonly containerLogsDir: string | undefined;
}

export function podLogFolder(podLogsDir: string, pod: Pod): string {
  const { namespace = 'default', name = '', uid = '' } = pod.metadata ?? {};
  return join(podLogsDir, `${namespace}_${name}_${uid}`);
}

/** Longest name of a link in /var/log/containers without its `.log` (facts 8.3). */
const longestLinkName = 251;

/** The layout of /var/log/pods (facts 8.3). The runtime writes the logs; the folders and their end are the agent's. */
export class PodLogFolders implements PodLogs {
  readonly #options: PodLogOptions;

  constructor(options: PodLogOptions) {
    this.#options = options;
  }

  prepare(pod: Pod, container: string): void {
    mkdirSync(join(podLogFolder(this.#options.podLogsDir, pod), container), { recursive: true, mode: 0o755 });
  }

  /** The link by which log shippers of the Docker days find a container. */
  async link(pod: Pod, container: ObservedContainer): Promise<void> {
    const { containerLogsDir } = this.#options;
    if (containerLogsDir === undefined) return;
    const { namespace = 'default', name = '' } = pod.metadata ?? {};
    const linkName = `${name}_${namespace}_${container.name}-${container.id}`.slice(0, longestLinkName);
    await mkdir(containerLogsDir, { recursive: true });
    await symlink(container.logPath, join(containerLogsDir, `${linkName}.log`)).catch(ignore('EEXIST'));
  }

  async removeInstance(container: ObservedContainer): Promise<void> {
    if (container.logPath === '') return;
    const folder = dirname(container.logPath);
    const prefix = basename(container.logPath);
    for (const file of await listing(folder)) {
      if (file === prefix || file.startsWith(`${prefix}.`)) await rm(join(folder, file), { force: true });
    }
    await this.#removeLinks((target) => target === container.logPath);
  }

  async removePod(uid: PodUid): Promise<void> {
    const { podLogsDir } = this.#options;
    for (const name of await listing(podLogsDir)) {
      if (!name.endsWith(`_${uid}`)) continue;
      const folder = join(podLogsDir, name);
      for (const container of await listing(folder)) {
        for (const file of await listing(join(folder, container)))
          await unlink(join(folder, container, file)).catch(ignore('ENOENT'));
        await rmdir(join(folder, container)).catch(ignore('ENOENT'));
      }
      await rmdir(folder).catch(ignore('ENOENT'));
      await this.#removeLinks((target) => target.startsWith(`${folder}/`));
    }
  }

  /** Uids of pods that have logs, for finding what earlier runs left. */
  async present(): Promise<readonly PodUid[]> {
    const names = await listing(this.#options.podLogsDir);
    return names.flatMap((name) => (/^[^_]+_[^_]+_(.+)$/.exec(name)?.[1] ?? []) as PodUid[]);
  }

  async #removeLinks(matches: (target: string) => boolean): Promise<void> {
    const { containerLogsDir } = this.#options;
    if (containerLogsDir === undefined) return;
    for (const name of await listing(containerLogsDir)) {
      const path = join(containerLogsDir, name);
      const target = await readlink(path).catch(() => undefined);
      if (target !== undefined && matches(target)) await unlink(path).catch(ignore('ENOENT'));
    }
  }
}

async function listing(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return [];
    throw err;
  }
}

const ignore =
  (code: string) =>
  (err: unknown): void => {
    if (errnoOf(err) !== code) throw err;
  };
