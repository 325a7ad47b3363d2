import { closeSync, constants, openSync, readSync } from 'node:fs';
import { errnoOf } from '../../base/errors.js';

/** One process that the kernel killed for want of memory, as its log tells. */
export interface OomKill {
  /** Of the record in the log, ascending. A kill of all in a cgroup has one record, however many they are. */
  readonly sequence: number;
  readonly process: string;
  readonly pid: number;
  /** The whole machine was short of memory, or the process belongs to no cgroup: no limit of anybody is to blame. */
  readonly system: boolean;
}

/** A record of the kernel itself: `6,262160,41765606014,-;text`. Others may write to the log, under another facility. */
const fromKernel = /^[0-7],(\d+),/;
const killed =
  /;oom-kill:constraint=\w+,nodemask=[^,]*,cpuset=[^,]*,mems_allowed=\S*?,(global_oom|oom_memcg=[^,]*),task_memcg=([^,]*),task=(.*),pid=(\d+),uid=\d+/;

export function parseOomKill(record: string): OomKill | undefined {
  const sequence = fromKernel.exec(record)?.[1];
  if (sequence === undefined) return undefined;
  const [, scope, cgroup, process = '', pid] = killed.exec(record) ?? [];
  if (scope === undefined) return undefined;
  return { sequence: Number(sequence), process, pid: Number(pid), system: scope === 'global_oom' || cgroup === '/' };
}

/** What the kernel's log still holds of kills, oldest first; undefined where it cannot be read. */
export function oomKillsInKernelLog(path = '/dev/kmsg'): readonly OomKill[] | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const kills: OomKill[] = [];
    for (const record of recordsOf(fd)) {
      const kill = parseOomKill(record);
      if (kill) kills.push(kill);
    }
    return kills;
  } finally {
    closeSync(fd);
  }
}

/** Each read gives one record. */
function* recordsOf(fd: number): Generator<string> {
  const buffer = Buffer.allocUnsafe(8192);
  while (true) {
    let length: number;
    try {
      length = readSync(fd, buffer, 0, buffer.length, null);
    } catch (err) {
      // Overwritten before it was read: the next is there.
      if (errnoOf(err) === 'EPIPE') continue;
      return;
    }
    if (length === 0) return;
    yield buffer.toString('utf8', 0, length);
  }
}
