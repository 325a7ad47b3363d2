import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { identify, readProc, signalProcess } from './process-identity.js';

const sigKill = 9;

/**
 * Ends conmon and the OCI runtime that make a container or an exec, wherever they are on their way: conmon leaves its process group
 * before it says who it is, and what it starts may not have reached the container's cgroup. Both name the container's id, or the exec's
 * folder, on their command line, and what they fork keeps that line. Looks again until nobody new is found: one that forked before it was
 * killed has its child in the next list.
 */
export function killMakers(id: string, ociRuntimes: Iterable<string>): void {
  const programs = new Set(['conmon', ...[...ociRuntimes].map((path) => basename(path))]);
  const killed = new Set<string>();
  for (;;) {
    const found = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && isMaker(name, id, programs))
      .map((name) => identify(Number(name)))
      .filter((maker) => maker !== undefined)
      .filter(({ pid, startTime }) => !killed.has(`${pid}/${startTime}`));
    if (found.length === 0) return;
    for (const maker of found) {
      killed.add(`${maker.pid}/${maker.startTime}`);
      signalProcess(maker, sigKill);
    }
  }
}

function isMaker(pid: string, id: string, programs: ReadonlySet<string>): boolean {
  const line = readProc(`/proc/${pid}/cmdline`);
  if (line?.includes(id) !== true) return false;
  const [program = '', ...args] = line.split('\0');
  return programs.has(basename(program)) && args.some((arg) => arg.split('/').includes(id));
}
