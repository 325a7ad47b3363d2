import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { probeSocket, WireError } from '../../proto/wire/index.js';

/** `$ROOT/device-plugins`: the registration socket, the plugins' own sockets and the checkpoint. */
export function pluginFolder(root: string): string {
  return join(root, 'device-plugins');
}

/**
 * Removes the sockets of an earlier run, as the kubelet does: plugins notice, or notice that the registration socket is
 * new, and register again. The sockets in `keep` stay.
 */
export async function wipeSockets(folder: string, keep: ReadonlySet<string>): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isSocket() && !keep.has(path)) await rm(path, { force: true });
  }
}

export async function somebodyListens(socketPath: string, signal: AbortSignal): Promise<boolean> {
  try {
    await probeSocket(socketPath, signal);
    return true;
  } catch (err) {
    if (err instanceof WireError) return false;
    throw err;
  }
}

/** Where a plugin that registered with this endpoint serves; undefined when it would lie outside the folder. */
export function endpointSocket(folder: string, endpoint: string): string | undefined {
  const path = resolve(join(folder, endpoint));
  return endpoint !== '' && path.startsWith(`${resolve(folder)}${sep}`) ? path : undefined;
}
