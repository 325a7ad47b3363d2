import { access, constants, readdir, readFile, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { linkSignal } from '../../base/signals.js';
import { programSucceeded, runProgram } from '../../base/run-program.js';
import { answers } from '../serving/node-api/claim-socket.js';

/** What the checks ask of a machine; tests give another one. */
export interface Host {
  readonly uid: number;
  /** First of the paths that can be executed. */
  executable(paths: readonly string[]): Promise<string | undefined>;
  /** Undefined when it is not there or may not be read. */
  read(path: string): Promise<string | undefined>;
  list(path: string): Promise<readonly string[]>;
  /** First line of what a program prints, undefined when it fails. */
  firstLine(argv: readonly [string, ...string[]]): Promise<string | undefined>;
  /** Bytes and inodes free to root on the file system of a path, or of its nearest parent that exists. */
  free(path: string): Promise<{ readonly bytes: number; readonly inodes: number }>;
  portIsFree(address: string, port: number): Promise<boolean>;
  /** A process accepts connections on this unix socket. */
  answers(socket: string): Promise<boolean>;
}

const programTimeoutMs = 5000;

export function realHost(signal: AbortSignal): Host {
  return {
    uid: process.getuid?.() ?? -1,
    async executable(paths) {
      for (const path of paths) if (await isExecutable(path)) return path;
      return undefined;
    },
    read: (path) => readFile(path, 'utf8').catch(() => undefined),
    list: (path) => readdir(path).catch(() => []),
    async firstLine(argv) {
      using link = linkSignal(signal);
      const result = await runProgram(
        { argv, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }, timeoutMs: programTimeoutMs },
        link.signal,
      );
      return programSucceeded(result) ? (result.stdout.toString('utf8').split('\n')[0] ?? '') : undefined;
    },
    async free(path) {
      for (let at = path; ; at = join(at, '..')) {
        const found = await statfs(at).catch(() => undefined);
        if (found) return { bytes: found.bavail * found.bsize, inodes: found.ffree };
        if (at === '/') return { bytes: 0, inodes: 0 };
      }
    },
    portIsFree: (address, port) =>
      new Promise((resolve) => {
        const probe = createServer();
        probe.once('error', () => resolve(false));
        probe.listen(port, address, () => probe.close(() => resolve(true)));
      }),
    answers,
  };
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
