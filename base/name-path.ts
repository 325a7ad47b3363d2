import { errnoOf } from './errors.js';

/** Node names no file when a write to an open one fails; the same error, which then says which disk is full. */
export function namePath(err: unknown, path: string): unknown {
  if (err instanceof Error && errnoOf(err) !== undefined && !err.message.includes(path)) err.message += ` '${path}'`;
  return err;
}
