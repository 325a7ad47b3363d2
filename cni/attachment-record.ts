import { createHash } from 'node:crypto';
import type { PodIdentity } from './attach-request.js';
import { isObject, type JsonObject } from './json.js';
import { parseResult, type CniResult } from './result.js';
import { isSpecVersion, type SpecVersion } from './spec-version.js';

/** All that DEL needs, fixed before the first ADD. */
export interface AttachmentIntent {
  readonly containerId: string;
  readonly ifName: string;
  readonly network: string;
  /** The configuration list as it was then, with every plugin inlined. */
  readonly list: JsonObject;
  readonly version: SpecVersion;
  readonly netns: string;
  /** Which namespace was at that path, and in which boot: paths and numbers are used again. */
  readonly netnsId: string;
  readonly args: string;
  readonly capabilities: JsonObject;
  readonly pod?: PodIdentity | undefined;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/**
 * One line of a record. A record only grows: `adding`, a `step` for each plugin whose ADD succeeded but the last, `attached`
 * with the final result, `removing` before each DEL, `failed` after one that did not work.
 */
export type RecordEntry =
  | { readonly entry: 'adding'; readonly intent: AttachmentIntent }
  | { readonly entry: 'step'; readonly result: CniResult }
  | { readonly entry: 'attached'; readonly result: CniResult }
  | { readonly entry: 'removing' }
  | { readonly entry: 'failed'; readonly at: number; readonly reason: string }
  /** Stands for a record that could not be read; only the ids in its name are known. */
  | {
      readonly entry: 'lost';
      readonly containerId: string;
      readonly ifName: string;
      readonly reason: string;
      readonly since: number;
    };

export interface AttachmentRecord {
  readonly containerId: string;
  readonly ifName: string;
  /** `adding` found at start means that the process died in between; `lost`, that the record was unreadable. */
  readonly phase: 'adding' | 'attached' | 'removing' | 'lost';
  /** Absent only for `lost`. */
  readonly intent?: AttachmentIntent | undefined;
  /** The result of the last plugin that is known to have succeeded. */
  readonly result?: CniResult | undefined;
  /** How many plugins, from the first, may have done something. */
  readonly reached: number;
  readonly failures: number;
  readonly lastError?: { readonly at: number; readonly reason: string } | undefined;
  readonly since: number;
}

/** The state that a list of entries says; undefined when there is no first entry to start from. */
export function nextRecord(record: AttachmentRecord | undefined, entry: RecordEntry): AttachmentRecord | undefined {
  if (entry.entry === 'adding') {
    const { containerId, ifName, since } = entry.intent;
    return { containerId, ifName, phase: 'adding', intent: entry.intent, reached: 1, failures: 0, since };
  }
  if (entry.entry === 'lost') {
    const { containerId, ifName, since, reason } = entry;
    const lastError = { at: since, reason };
    return { containerId, ifName, phase: 'lost', reached: Number.MAX_SAFE_INTEGER, failures: 0, since, lastError };
  }
  if (record === undefined) return undefined;
  switch (entry.entry) {
    case 'step':
      return { ...record, result: entry.result, reached: record.reached + 1 };
    case 'attached':
      return { ...record, phase: 'attached', result: entry.result };
    case 'removing':
      return record.phase === 'lost' ? record : { ...record, phase: 'removing' };
    case 'failed':
      return { ...record, failures: record.failures + 1, lastError: { at: entry.at, reason: entry.reason } };
  }
}

/** The first line break closes a line that was cut short, so that what follows it is read. */
export function encodeEntry(entry: RecordEntry): string {
  const body = JSON.stringify(entry);
  return `\n${checksum(body)} ${body}\n`;
}

/** Reads a record file. A line cut short by a crash is passed over; a file that does not begin with `adding` throws. */
export function decodeRecord(text: string): AttachmentRecord {
  let record: AttachmentRecord | undefined;
  for (const line of text.split('\n')) {
    const entry = line === '' ? undefined : decodeEntry(line);
    if (entry !== undefined) record = nextRecord(record, entry);
  }
  if (record === undefined) throw new Error(text.trim() === '' ? 'the file is empty' : 'no readable beginning');
  return record;
}

function decodeEntry(line: string): RecordEntry | undefined {
  const body = line.slice(17);
  if (line[16] !== ' ' || line.slice(0, 16) !== checksum(body)) return undefined;
  // Its own checksum says that it is what was written here, so only what depends on the version of this code is looked at.
  const value = JSON.parse(body) as unknown;
  if (!isObject(value)) return undefined;
  switch (value['entry']) {
    case 'adding': {
      const intent = value['intent'];
      if (!isObject(intent) || typeof intent['version'] !== 'string' || !isSpecVersion(intent['version']))
        return undefined;
      return value as unknown as RecordEntry;
    }
    case 'step':
    case 'attached':
      return { entry: value['entry'], result: parseResult(value['result'], '1.1.0') };
    case 'removing':
    case 'failed':
    case 'lost':
      return value as unknown as RecordEntry;
    default:
      return undefined;
  }
}

function checksum(body: string): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 16);
}
