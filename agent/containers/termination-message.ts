import { open } from 'node:fs/promises';
import { constants } from 'node:fs';
import { criAnnotations, type v1 } from '../../cri/index.js';
import { LineSplitter, parseLogLine } from '../logs/index.js';

/** Limits of what a container may say at its end (facts 2.8). */
const most = { fileBytes: 4096, logBytes: 2048, logLines: 80 };
/** Of a log, in which one record may have 16 KiB and more: enough for the last whole ones. */
const readOfLog = 128 * 1024;

/**
 * The termination message of an exited container: the end of its message file, or the end of its log where the policy asks for that
 * after a failure. Empty when it left none.
 */
export async function terminationMessage(status: v1.ContainerStatus): Promise<string> {
  const annotations = status.annotations ?? {};
  const path = annotations[criAnnotations.terminationMessagePath];
  const mount = status.mounts?.find((candidate) => candidate.containerPath === path);
  const own = mount?.hostPath === undefined ? undefined : await lastBytes(mount.hostPath, most.fileBytes);
  if (own && own.length > 0) return wholeCharacters(own, most.fileBytes);
  const fallback = annotations[criAnnotations.terminationMessagePolicy] === 'FallbackToLogsOnError';
  if (!fallback || (status.exitCode ?? 0) === 0 || !status.logPath) return '';
  return logTail(await lastBytes(status.logPath, readOfLog));
}

const newline = Buffer.from('\n');

/** What the container wrote last, its lines put together again. */
function logTail(raw: Buffer): string {
  const records = linesOf(raw).flatMap((line) => parseLogLine(line) ?? []);
  const pieces = records.slice(-most.logLines).flatMap(({ content, partial }) => [content, partial ? '' : newline]);
  return wholeCharacters(Buffer.concat(pieces.map((piece) => Buffer.from(piece))), most.logBytes);
}

function linesOf(raw: Buffer): readonly Buffer[] {
  const splitter = new LineSplitter();
  return [...splitter.push(raw), ...splitter.rest()];
}

/** The last bytes as text, from the beginning of a character on. */
function wholeCharacters(bytes: Buffer, count: number): string {
  let start = Math.max(bytes.length - count, 0);
  while (((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return bytes.toString('utf8', start);
}

/** The container owns the file: no link is followed, and a FIFO does not hold us. */
async function lastBytes(path: string, count: number): Promise<Buffer> {
  const nothing = Buffer.alloc(0);
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (!file) return nothing;
  try {
    const info = await file.stat();
    if (!info.isFile()) return nothing;
    const buffer = Buffer.alloc(Math.min(info.size, count));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, info.size - buffer.length);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
