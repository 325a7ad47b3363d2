import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { VolumeProblem } from '../volume-error.js';
import { resolveInside } from './resolve-inside.js';

const mostBytes = 1024 * 1024;

/**
 * Text of a file that containers write to. Links lead around inside the volume, as if it were the root of a file system, and never out of
 * it. Undefined when there is none.
 */
export async function readFileInside(root: string, path: string, signal: AbortSignal): Promise<string | undefined> {
  signal.throwIfAborted();
  const found = await resolveInside(root, path, { escape: 'clamp' });
  if (!found) return undefined;
  try {
    const info = await found.stat();
    if (!info.isFile()) throw new VolumeProblem('refused', `read ${path}: not a regular file`);
    if (info.size > mostBytes) throw new VolumeProblem('refused', `read ${path}: larger than ${mostBytes} bytes`);
    const file = await open(found.path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const buffer = Buffer.alloc(mostBytes);
      const { bytesRead } = await file.read(buffer, 0, mostBytes, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } finally {
    await found.close();
  }
}
