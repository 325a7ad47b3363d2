import { readdir, readlink, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PodUid } from '../api/index.js';

export interface LogSweeperOptions {
  readonly podLogsDir: string;
  readonly containerLogsDir: string | undefined;
}

export interface LogSweeperDeps {
  readonly log: Logger;
  /** Wanted, or something of it is still there. */
  isKnown(uid: PodUid): boolean;
  /** A container that runs writes to it, or is about to: its log is away for a moment while it is rotated. */
  isWritten(path: string): boolean;
  removePod(uid: PodUid): Promise<void>;
}

/** `<namespace>_<name>_<uid>`: neither part of a pod's name may hold an underscore. */
const folderName = /^[^_]+_[^_]+_(?<uid>[^_]+)$/;

/** Log folders of pods that are gone, and links of log shippers that lead nowhere. Call it only once every source has delivered. */
export async function sweepLogs(options: LogSweeperOptions, deps: LogSweeperDeps, signal: AbortSignal): Promise<void> {
  for (const name of await listing(options.podLogsDir)) {
    signal.throwIfAborted();
    const uid = folderName.exec(name)?.groups?.['uid'] as PodUid | undefined;
    if (uid === undefined || deps.isKnown(uid)) continue;
    await deps.removePod(uid);
    deps.log.info({ podUid: uid, folder: name }, 'logs removed, their pod is gone');
  }
  const { containerLogsDir } = options;
  if (containerLogsDir === undefined) return;
  for (const name of await listing(containerLogsDir)) {
    signal.throwIfAborted();
    const path = join(containerLogsDir, name);
    const target = await readlink(path).catch(() => undefined);
    if (target === undefined || !target.startsWith(`${options.podLogsDir}/`) || deps.isWritten(target)) continue;
    if (await isAbsent(target)) await unlink(path).catch(ignoreMissing);
  }
}

async function isAbsent(path: string): Promise<boolean> {
  try {
    await stat(path);
    return false;
  } catch (err) {
    return errnoOf(err) === 'ENOENT';
  }
}

async function listing(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  }
}

function ignoreMissing(err: unknown): void {
  if (errnoOf(err) !== 'ENOENT') throw err;
}
