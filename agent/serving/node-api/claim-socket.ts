import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { createConnection } from 'node:net';
import type { Server } from 'node:http';
import { dirname } from 'node:path';
import { BerthError, errnoOf, errorText } from '../../../base/errors.js';

export type SocketFailure = { readonly code: 'in-use' } | { readonly code: 'unusable' };

export class SocketError extends BerthError<SocketFailure> {}

/** Longest path of a unix socket (sun_path without its end). */
const longestPath = 107;

/**
 * Listens on a unix socket only its owner may use. A socket whose agent is gone is replaced; one that answers belongs to a running
 * agent, and two agents on one state would destroy each other's pods.
 */
export async function claimSocket(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > longestPath)
    throw new SocketError(`listen on ${path}: a unix socket's path has at most ${longestPath} bytes`, {
      code: 'unusable',
    });
  const folder = dirname(path);
  try {
    // The folder keeps others out between `listen` and `chmod`. One that is there already is somebody's choice.
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const { mode } = await lstat(folder);
    if ((mode & 0o022) !== 0)
      throw new SocketError(`listen on ${path}: others may write to ${folder}; give it mode 0700`, {
        code: 'unusable',
      });
    await listen(server, path).catch(async (err: unknown) => {
      if (errnoOf(err) !== 'EADDRINUSE') throw err;
      await removeStale(path);
      await listen(server, path);
    });
    await chmod(path, 0o600);
  } catch (err) {
    if (err instanceof SocketError) throw err;
    throw new SocketError(`listen on ${path}: ${errorText(err)}`, { code: 'unusable' }, { cause: err });
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path);
  if (!found.isSocket())
    throw new SocketError(`listen on ${path}: something that is no socket stands there`, { code: 'unusable' });
  if (await answers(path)) {
    throw new SocketError(
      `listen on ${path}: another berth agent runs on this machine and answers there; stop it first, or give this one its own --run-dir, --state-dir and --root-dir`,
      { code: 'in-use' },
    );
  }
  await unlink(path);
}

/** True when a process accepts connections there. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (err: Error): void => reject(err);
    server.once('error', onError);
    server.listen(path, () => {
      server.off('error', onError);
      resolve();
    });
  });
}
