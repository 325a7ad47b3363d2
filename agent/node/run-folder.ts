import { chmod, mkdir, stat } from 'node:fs/promises';
import { runProgram } from '../../base/run-program.js';
import type { AgentConfig } from '../config/agent-config.js';

/** Users of a pod's own namespace pass through on the way to their root filesystem, and see nothing. */
const passable = 0o011;

/**
 * Makes the folder for what a reboot must empty. The embedded runtime keeps its namespaces and bundles there and wants it on tmpfs: on a
 * machine whose /run is on disk one is mounted. Comes before anything is put there, the API's socket included. May be repeated.
 */
export async function prepareRunFolder({ paths, runtime }: AgentConfig, signal: AbortSignal): Promise<void> {
  const { runDir } = paths;
  await mkdir(runDir, { recursive: true, mode: 0o711 });
  if (runtime.endpoint !== 'embedded') return;
  const { ensureVolatileFolder } = await import('../../cri/embedded/index.js');
  await ensureVolatileFolder(runDir, { run: runProgram }, signal);
  // A service manager may have made it, for root alone.
  const mode = (await stat(runDir)).mode & 0o7777;
  if ((mode & passable) !== passable) await chmod(runDir, mode | passable);
}
