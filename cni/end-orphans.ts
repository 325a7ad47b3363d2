import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.js';
import { errnoOf } from '../base/errors.js';
import type { AttachmentId } from './request-config.js';

/** How long a killed plugin may take to leave the kernel. */
const goneMs = 5000;

/**
 * Ends plugins that a run of this program started for these attachments and did not see the end of: a plugin goes on when its
 * caller dies, and an ADD that comes late would undo the DEL. Returns the process ids that were found.
 */
export async function endOrphans(ids: readonly AttachmentId[], clock: Clock, signal: AbortSignal): Promise<number[]> {
  if (ids.length === 0) return [];
  const wanted = new Set(ids.map((id) => `${id.containerId}@${id.ifName}`));
  const ended = new Set<number>();
  const deadline = clock.now() + goneMs;
  // Until a look finds none: a plugin may have started another one (`host-local`) just behind the last look.
  for (;;) {
    const found = await pluginsOf(wanted);
    if (found.length === 0 || clock.now() > deadline) return [...ended];
    for (const pid of found) {
      ended.add(pid);
      kill(pid);
    }
    await clock.sleep(10, signal);
  }
}

async function pluginsOf(wanted: ReadonlySet<string>): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (wanted.has((await pluginOf(pid)) ?? '')) found.push(pid);
  }
  return found;
}

/** The attachment a process works on, by its environment: plugins pass theirs on to what they start. */
async function pluginOf(pid: number): Promise<string | undefined> {
  try {
    const environment = (await readFile(join('/proc', String(pid), 'environ'), 'latin1')).split('\0');
    const value = (key: string): string | undefined =>
      environment.find((pair) => pair.startsWith(`${key}=`))?.slice(key.length + 1);
    const containerId = value('CNI_CONTAINERID');
    return containerId === undefined || value('CNI_COMMAND') === undefined
      ? undefined
      : `${containerId}@${value('CNI_IFNAME') ?? ''}`;
  } catch {
    // Gone, or a zombie that has no environment any more.
    return undefined;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (err) {
    if (errnoOf(err) !== 'ESRCH') throw err;
  }
}
