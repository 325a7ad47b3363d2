import { chmodSync } from 'node:fs';
import { errnoOf } from '../../../base/errors.js';

/**
 * conmon makes logs that root alone may read. Shippers of logs that run as another user are in root's group for this, as containerd
 * lets that group read.
 */
export function letGroupRead(logPath: string): void {
  try {
    chmodSync(logPath, 0o640);
  } catch (err) {
    // Somebody took it away: it is gone, and the container runs all the same.
    if (errnoOf(err) !== 'ENOENT') throw err;
  }
}
