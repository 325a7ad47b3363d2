import { mkdir, statfs } from 'node:fs/promises';
import type { EmbeddedRuntimeDeps } from '../options.js';
import { mustRun } from './oci-program.js';

/** f_type of tmpfs (statfs(2)). */
const tmpfsType = 0x01021994;

/**
 * Makes sure that the volatile folder is one: where it does not lie on tmpfs (a machine without systemd), a tmpfs is mounted on it.
 * Writes there are made without waiting, and a reboot must empty it. Called before the runtime is opened; may be repeated.
 */
export async function ensureVolatileFolder(
  path: string,
  deps: Pick<EmbeddedRuntimeDeps, 'run'>,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o711 });
  const { type } = await statfs(path);
  if (type === tmpfsType) return;
  await mustRun(
    ['mount', '-t', 'tmpfs', '-o', 'nosuid,nodev,mode=0711', 'berth-run', path],
    `mount tmpfs on ${path}`,
    deps,
    signal,
  );
}
