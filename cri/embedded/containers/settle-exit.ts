import { existsSync, readFileSync, statSync } from 'node:fs';
import { errnoOf } from '../../../base/errors.js';
import type { RuntimeContext } from '../context.js';
import { emitContainer, emitStarted } from '../emit-event.js';
import { innerCgroup } from '../../stats/inner-cgroup.js';
import { mayBeAlive, isSameAlive } from '../host/process-identity.js';
import type { ContainerEntry } from '../state/container-entry.js';
import type { ContainerExit } from '../state/records.js';
import { noteStart } from './note-start.js';

/** Marks a container as ended, once: wakes who waits, tells the readers of events, and keeps the fact on disk. */
export function settleExit(context: RuntimeContext, entry: ContainerEntry, told: ContainerExit): void {
  // A short program may end before its start has been told.
  if (entry.phase.kind === 'created' && noteStart(context, entry)) emitStarted(context, entry);
  // The kernel stamps files by the last tick, up to 10 ms ago: a container that ended at once would end before it started.
  const exit = { ...told, finishedAtMs: Math.max(told.finishedAtMs, entry.record.startedAtMs ?? 0) };
  if (!entry.setExited(exit)) return;
  // Of a sandbox that is going away nobody will ask after a reboot; until then the exit file has it.
  const going = context.sandboxes.get(entry.record.sandboxId)?.record.stopped === true;
  if (!going) recordExit(context, entry);
  emitContainer(context, entry, 'CONTAINER_STOPPED_EVENT');
}

/** A container that ended by itself may have done its work: that must survive a power cut. */
function recordExit(context: RuntimeContext, entry: ContainerEntry): void {
  context.records.writeContainer(entry, !entry.stopping).catch((err: unknown) => {
    // The folder may be gone already: a removal does not wait for this. The exit file keeps the fact otherwise.
    if (errnoOf(err) !== 'ENOENT') {
      context.deps.log.warn({ err, containerId: entry.id }, 'container exit not recorded, known from its exit file');
    }
  });
}

/** Looks for the exit file conmon writes; true when the container has ended by it. */
export function settleFromExitFile(context: RuntimeContext, entry: ContainerEntry): boolean {
  const path = context.layout.exitFile(entry.id);
  let code: number;
  let finishedAtMs: number;
  try {
    code = Number(readFileSync(path, 'utf8').trim());
    finishedAtMs = statSync(path).mtimeMs;
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return false;
    throw err;
  }
  const oom = code !== 0 && wasOomKilled(context, entry);
  settleExit(context, entry, {
    code: Number.isInteger(code) ? code : 255,
    finishedAtMs,
    reason: oom ? 'OOMKilled' : code === 0 ? 'Completed' : 'Error',
    message: '',
  });
  return true;
}

/**
 * The kernel's own count in the container's cgroup, which stays until the container is removed. systemd removes a scope as soon as it is
 * empty: then what conmon has seen, which leaves an empty file where it was started.
 */
function wasOomKilled(context: RuntimeContext, entry: ContainerEntry): boolean {
  const { host, layout } = context;
  const file = host.cgroupVersion === 2 ? 'memory.events' : 'memory.oom_control';
  try {
    const cgroup = innerCgroup(host, 'memory', entry.record.cgroup);
    const text = readFileSync(`${host.cgroupMount('memory')}${cgroup}/${file}`, 'utf8');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
  } catch (err) {
    const errno = errnoOf(err);
    // ENODEV: removed between the opening and the reading.
    if (errno === 'ENOENT' || errno === 'ENODEV') return existsSync(`${layout.bundle(entry.id)}/oom`);
    throw err;
  }
}

export type Liveness = 'alive' | 'ended' | 'unwatched';

/**
 * What is true of a container that was alive when last looked at. `unwatched`: conmon is gone without an exit file, so nobody will say
 * when and how its process ends. The thorough look tells a process from a later one with the same number.
 */
export function lookAgain(context: RuntimeContext, entry: ContainerEntry, thorough: boolean): Liveness {
  const { phase } = entry;
  if (phase.kind === 'exited') return 'ended';
  if (phase.kind === 'creating') return 'alive';
  const alive = thorough ? isSameAlive(phase.conmon) : mayBeAlive(phase.conmon.pid);
  if (alive) return 'alive';
  // conmon writes the exit file before it ends: when it is gone, what the file says is final.
  return settleFromExitFile(context, entry) ? 'ended' : 'unwatched';
}
