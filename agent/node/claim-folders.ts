import { spawn } from 'node:child_process';
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../base/errors.js';
import type { AgentConfig } from '../config/agent-config.js';

export type ClaimFailure = { readonly code: 'claimed'; readonly folder: string };
export class ClaimError extends BerthError<ClaimFailure> {}

export interface FolderClaim {
  readonly folder: string;
  /** Of a folder that is not there yet. */
  readonly mode: number;
}

/**
 * Folders of which one that starts takes what it does not know for leftovers: a second agent on them, with a run folder of its own,
 * would end the pods of the first and remove their volumes.
 */
export function claimsOf({ paths, runtime }: Pick<AgentConfig, 'paths' | 'runtime'>): FolderClaim[] {
  const ofRuntime = runtime.endpoint.includes('://') ? [] : [runtimeClaim(paths.stateDir)];
  return [{ folder: paths.rootDir, mode: 0o750 }, { folder: paths.stateDir, mode: 0o750 }, ...ofRuntime];
}

/** What an agent and `berth cri serve` may not both have; an agent that uses the latter's socket has not. */
export const runtimeClaim = (stateDir: string): FolderClaim => ({ folder: join(stateDir, 'runtime'), mode: 0o711 });

/** Makes folders and takes them for their holder alone, until it gives them back or its process ends, however it ends. */
export async function claimFolders(claims: readonly FolderClaim[], signal: AbortSignal): Promise<AsyncDisposable> {
  const held: FileHandle[] = [];
  const release = async (): Promise<void> => {
    for (const handle of held.splice(0)) await handle.close();
  };
  try {
    for (const { folder, mode } of claims) {
      await mkdir(folder, { recursive: true, mode });
      held.push(await open(folder));
    }
    const locks = await Promise.all(held.map((handle) => lock(handle)));
    signal.throwIfAborted();
    for (const [index, { folder }] of claims.entries()) {
      if (locks[index] === 'taken')
        throw new ClaimError(
          `use ${folder}: another berth agent runs on this machine and has it; stop it first, or give this one folders of its own`,
          { code: 'claimed', folder },
        );
    }
  } catch (err) {
    await release();
    throw err;
  }
  return { [Symbol.asyncDispose]: release };
}

/** The lock belongs to what was opened, not to the program that asks for it; programs started later do not have it. */
async function lock(handle: FileHandle): Promise<'ours' | 'taken'> {
  const program = spawn('flock', ['-n', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', handle.fd],
    env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  const code = await new Promise<number | null>((resolve) => {
    program.on('exit', resolve);
    // A machine without it has no such guard; nothing else depends on it.
    program.on('error', () => resolve(null));
  });
  return code === 1 ? 'taken' : 'ours';
}
