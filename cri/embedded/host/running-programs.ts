import { readdirSync } from 'node:fs';
import type { Clock } from '../../../base/clock.js';
import { identify, isSameAlive, readProc, signalProcess, type ProcessIdentity } from './process-identity.js';

const sigKill = 9;
const lookEveryMs = 5;
const mostMs = 5000;

/**
 * Ends programs of an earlier process of ours that still work on one of these ids (each names it in its arguments): what they would
 * make after we looked would belong to nobody. Processes inside containers are not meant; the ids are of things half made.
 */
export async function endProgramsNaming(ids: ReadonlySet<string>, clock: Clock, signal: AbortSignal): Promise<void> {
  if (ids.size === 0) return;
  const found: ProcessIdentity[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const words = readProc(`/proc/${name}/cmdline`) ?? '';
    const names = words.match(/[0-9a-f]{64}/g);
    if (names === null || !names.some((id) => ids.has(id))) continue;
    const identity = identify(pid);
    if (identity !== undefined && signalProcess(identity, sigKill)) found.push(identity);
  }
  const until = performance.now() + mostMs;
  while (found.some(isSameAlive) && performance.now() < until) await clock.sleep(lookEveryMs, signal);
}
