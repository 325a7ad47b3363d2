import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.js';

/** Writes to the disk under a folder until nothing more fits. Returns the file to remove. */
export async function fillDisk(folder: string): Promise<string> {
  const path = join(folder, 'filler');
  const file = await open(path, 'a');
  try {
    for (let size = 1024 * 1024; size >= 1; size = Math.floor(size / 2)) {
      const piece = Buffer.alloc(size);
      try {
        while ((await file.write(piece)).bytesWritten === size);
      } catch (err) {
        if (errnoOf(err) !== 'ENOSPC') throw err;
      }
    }
  } finally {
    await file.close();
  }
  return path;
}
