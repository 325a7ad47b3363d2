import type { Stats } from 'node:fs';

/** Changes whenever the file does: written in place, or another one under its name. */
export const fileStamp = ({ ino, size, mtimeMs }: Pick<Stats, 'ino' | 'size' | 'mtimeMs'>): string =>
  `${ino}/${size}/${mtimeMs}`;
