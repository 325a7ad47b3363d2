import { open } from 'node:fs/promises';
import { constants } from 'node:fs';
import { criAnnotations, type v1 } from '../../cri/index.js';

/** Limits of what a container may say at its end (facts 2.8). */
const most = { fileBytes: 4096, logBytes: 2048, logLines: 80 };

/**
 * The termination message of an exited container: what it wrote to its message file, or the end of its log where the policy asks for
 * that after a failure. Empty when it left none.
 */
export async function terminationMessage(status: v1.ContainerStatus): Promise<string> {
  const annotations = status.annotations ?? {};
  const path = annotations[criAnnotations.terminationMessagePath];
  const mount = status.mounts?.find((candidate) => candidate.containerPath === path);
  const text = mount?.hostPath === undefined ? '' : await firstBytes(mount.hostPath, most.fileBytes);
  if (text !== '') return text;
  const fallback = annotations[criAnnotations.terminationMessagePolicy] === 'FallbackToLogsOnError';
  if (!fallback || (status.exitCode ?? 0) === 0 || !status.logPath) return '';
  return logTail(await lastBytes(status.logPath, most.logBytes * 4));
}

/** Payloads of CRI log lines, the last of them. */
function logTail(raw: string): string {
  const lines = raw
    .split('\n')
    .slice(-most.logLines - 1)
    .map((line) => /^\S+ (?:stdout|stderr) \S+ (.*)$/.exec(line)?.[1])
    .filter((line) => line !== undefined);
  return lines.join('\n').slice(-most.logBytes);
}

/** The container owns the file: no link is followed, and a FIFO does not hold us. */
async function firstBytes(path: string, count: number): Promise<string> {
  return readPart(path, (size) => ({ position: 0, length: Math.min(size, count) }));
}

async function lastBytes(path: string, count: number): Promise<string> {
  return readPart(path, (size) => ({ position: Math.max(size - count, 0), length: Math.min(size, count) }));
}

async function readPart(path: string, part: (size: number) => { position: number; length: number }): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (!file) return '';
  try {
    const info = await file.stat();
    if (!info.isFile()) return '';
    const { position, length } = part(info.size);
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await file.read(buffer, 0, length, position);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
