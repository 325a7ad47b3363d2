import type { FileHandle } from 'node:fs/promises';

const pieceBytes = 64 * 1024;
const newline = 0x0a;

/** Where the last `wanted` lines of a file begin, and how many of them it has when they are fewer. */
export async function tailStart(file: FileHandle, wanted: number): Promise<{ offset: number; lines: number }> {
  const { size } = await file.stat();
  if (wanted === 0) return { offset: size, lines: 0 };
  const buffer = Buffer.alloc(pieceBytes);
  let lines = 0;
  let end = size;
  while (end > 0) {
    const start = Math.max(end - pieceBytes, 0);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    for (let at = bytesRead - 1; at >= 0; at--) {
      // The newline at the very end ends the last line and begins none.
      if (buffer[at] !== newline || start + at === size - 1) continue;
      if (++lines === wanted) return { offset: start + at + 1, lines };
    }
    end = start;
  }
  return { offset: 0, lines: size === 0 ? 0 : lines + 1 };
}
