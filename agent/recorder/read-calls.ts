import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { errnoOf } from '../../base/errors.js';
import type { RecordedCall } from './recorded-call.js';

/** The files of a call log, the older first; each is bounded by its writer. */
export const callFiles = (dir: string): readonly string[] =>
  ['calls.jsonl.1', 'calls.jsonl'].map((name) => join(dir, name));

/**
 * Ended calls that were written down, oldest first: the last `atMost` of those that `wanted` lets through. Read in pieces, so that an
 * agent does its work in between. A line that a kill cut short is passed over.
 */
export async function readCalls(
  dir: string,
  wanted: (call: RecordedCall) => boolean,
  atMost: number,
  signal: AbortSignal,
): Promise<RecordedCall[]> {
  const found: RecordedCall[] = [];
  for (const path of callFiles(dir)) {
    try {
      for await (const line of createInterface({ input: createReadStream(path, { signal }) })) {
        const call = parseCall(line);
        if (call && wanted(call)) found.push(call);
        if (found.length >= atMost * 2) found.splice(0, found.length - atMost);
      }
    } catch (err) {
      signal.throwIfAborted();
      if (errnoOf(err) !== 'ENOENT') throw err;
    }
  }
  return atMost === 0 ? [] : found.slice(-atMost);
}

function parseCall(line: string): RecordedCall | undefined {
  try {
    const value = JSON.parse(line) as Partial<RecordedCall> | null;
    const isCall = typeof value?.id === 'number' && typeof value.startedAt === 'number';
    return isCall && typeof value.call?.subject === 'object' ? (value as RecordedCall) : undefined;
  } catch {
    return undefined;
  }
}
