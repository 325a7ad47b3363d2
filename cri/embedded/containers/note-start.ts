import { existsSync, statSync } from 'node:fs';
import type { RuntimeContext } from '../context.js';
import type { ContainerEntry } from '../state/container-entry.js';

/**
 * Whether it was started, also when nobody saw it: crun and runc keep a FIFO in their state folder until then, and the folder's time is
 * that of the FIFO's removal.
 */
export function noteStart(context: RuntimeContext, entry: ContainerEntry): boolean {
  if (entry.record.startedAtMs !== undefined) return true;
  const folder = `${context.ociRoot(entry.record.ociRuntime)}/${entry.id}`;
  if (!existsSync(folder) || existsSync(`${folder}/exec.fifo`)) return false;
  entry.record = { ...entry.record, startedAtMs: statSync(folder).mtimeMs };
  return true;
}
