import { readFileSync } from 'node:fs';
import { errnoOf } from '../../../base/errors.js';

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

/** Undefined when there is no such process, or only its zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

export function isSameAlive(process: ProcessIdentity): boolean {
  return startTimeOf(process.pid) === process.startTime;
}

/** One system call, no reading: false is certain, true may be another process with the same number. */
export function mayBeAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (err) {
    return errnoOf(err) !== 'ESRCH';
  }
}

/** Sends a signal when the process is still the same one; false when it is gone. */
export function signalProcess(target: ProcessIdentity, signal: number): boolean {
  if (!isSameAlive(target)) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch (err) {
    if (errnoOf(err) === 'ESRCH') return false;
    throw err;
  }
}

function startTimeOf(pid: number): string | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The command name may hold anything, spaces and brackets too; what follows its last bracket is regular.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Text of a /proc file, undefined when the process is gone. */
export function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ESRCH') return undefined;
    throw err;
  }
}

/** True when a process is the conmon of this container: its command line names the id. */
export function isConmonOf(pid: number, id: string): boolean {
  const words = readProc(`/proc/${pid}/cmdline`)?.split('\0') ?? [];
  return words[0]?.endsWith('conmon') === true && words.includes(id);
}

/** True when a process lives in the cgroup of this container. */
export function isInCgroupOf(pid: number, id: string): boolean {
  return readProc(`/proc/${pid}/cgroup`)?.includes(id) === true;
}

export function readPidFile(path: string): number | undefined {
  const text = readProc(path)?.trim() ?? '';
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
