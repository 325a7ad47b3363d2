import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Buffer } from 'node:buffer';

/** The whole file; undefined when it is larger than `limit`, or no regular file. Its size may change while it is read. */
export async function readBounded(path: string, limit: number): Promise<Uint8Array | undefined> {
  // Without O_NONBLOCK, opening a FIFO that took the file's place would wait for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > limit) return undefined;
    const buffer = Buffer.alloc(Math.min(stat.size + 64 * 1024, limit + 1));
    const chunks: Buffer[] = [];
    let size = 0;
    while (true) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return Buffer.concat(chunks);
      size += bytesRead;
      if (size > limit) return undefined;
      chunks.push(Buffer.from(buffer.subarray(0, bytesRead)));
    }
  } finally {
    await file.close();
  }
}
