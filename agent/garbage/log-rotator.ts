import { createReadStream, createWriteStream, statSync } from 'node:fs';
import { link, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Clock } from '../../base/clock.js';
import { errnoOf, errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { planLogTidy, rotatedLogName, type LogRotationPolicy } from './log-rotation-plan.js';

export interface RunningLog {
  readonly containerId: string;
  /** Absolute path the runtime writes to. */
  readonly path: string;
}

export interface LogRotatorDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** The runtime writes on into a new file at the log's path (CRI ReopenContainerLog). */
  reopen(containerId: string, signal: AbortSignal): Promise<void>;
}

/**
 * Keeps logs of running containers within their size (facts 8.3): rename, reopen, compress later. No line is lost: what the runtime
 * still writes after the rename lands in the renamed file, which is compressed at the next rotation at the earliest.
 */
export class LogRotator {
  readonly #policy: LogRotationPolicy;
  readonly #deps: LogRotatorDeps;
  /** Logs with a second name (`giveNameBack`), by container id. */
  readonly #twoNames = new Map<string, string>();

  constructor(policy: LogRotationPolicy, deps: LogRotatorDeps) {
    this.#policy = policy;
    this.#deps = deps;
  }

  /** Looks at every log once; one that fails does not keep the others from being rotated. Resolves with how many were rotated. */
  async rotateAll(logs: readonly RunningLog[], signal: AbortSignal): Promise<number> {
    if (this.#policy.maxBytes < 0) return 0;
    await this.#forgetOfEnded(logs);
    let rotated = 0;
    for (const log of logs) {
      signal.throwIfAborted();
      try {
        if (await this.#look(log, signal)) rotated++;
      } catch (err) {
        signal.throwIfAborted();
        this.#deps.log.warn(
          { containerId: log.containerId, path: log.path, err: errorText(err) },
          'container log could not be rotated, tried again at the next look',
        );
      }
    }
    return rotated;
  }

  async #look(log: RunningLog, signal: AbortSignal): Promise<boolean> {
    const size = sizeOf(log.path);
    if (size === undefined) {
      // Somebody took the file away: the runtime writes into a file without a name until it opens a new one.
      await this.#deps.reopen(log.containerId, signal);
      return false;
    }
    if (size < this.#policy.maxBytes) return false;
    return await this.#rotate(log, signal);
  }

  async #rotate({ containerId, path }: RunningLog, signal: AbortSignal): Promise<boolean> {
    const folder = dirname(path);
    await forgetSecondName(path);
    const plan = planLogTidy(basename(path), await readdir(folder), this.#policy.maxFiles);
    for (const name of [...plan.leftovers, ...plan.excess]) await rm(join(folder, name), { force: true });
    for (const name of plan.compress) await compress(join(folder, name), signal);
    const rotated = join(folder, rotatedLogName(basename(path), this.#deps.clock.now()));
    // Two rotations within a second: the name is taken, and a rename would lose what is in it.
    if (sizeOf(rotated) !== undefined) return false;
    await rename(path, rotated);
    try {
      await this.#deps.reopen(containerId, signal);
    } catch (err) {
      if (await giveNameBack(rotated, path)) this.#twoNames.set(containerId, path);
      throw err;
    }
    this.#twoNames.delete(containerId);
    return true;
  }

  /** Nobody opens the log of a container that has ended any more. */
  async #forgetOfEnded(running: readonly RunningLog[]): Promise<void> {
    if (this.#twoNames.size === 0) return;
    const ids = new Set(running.map((log) => log.containerId));
    for (const [id, path] of this.#twoNames) {
      if (ids.has(id)) continue;
      this.#twoNames.delete(id);
      if (sizeOf(path) !== undefined) await forgetSecondName(path);
    }
  }
}

/**
 * A reopen that failed may still take place later and put a new file in the log's place. So the old file gets its name back as a second
 * one and keeps the first: whatever happens, its lines have a name. False when a new file is there already.
 */
async function giveNameBack(rotated: string, path: string): Promise<boolean> {
  try {
    await link(rotated, path);
    return true;
  } catch (err) {
    if (errnoOf(err) !== 'EEXIST') throw err;
    return false;
  }
}

/** The second name of the current log, left by a reopen that failed for good. */
async function forgetSecondName(path: string): Promise<void> {
  const current = await stat(path);
  if (current.nlink < 2) return;
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(path)}.`)) continue;
    const other = await stat(join(folder, name));
    if (other.ino === current.ino && other.dev === current.dev) await unlink(join(folder, name));
  }
}

async function compress(path: string, signal: AbortSignal): Promise<void> {
  const temporary = `${path}.gz.tmp`;
  const { mode } = await stat(path);
  try {
    await pipeline(
      createReadStream(path),
      createGzip(),
      createWriteStream(temporary, { mode: mode & 0o777, flags: 'wx' }),
      { signal },
    );
    await rename(temporary, `${path}.gz`);
  } catch (err) {
    await rm(temporary, { force: true });
    throw err;
  }
  await unlink(path);
}

/** Undefined without such a file. In one turn: every running log is asked for every few seconds, and the disk is the node's own. */
function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
