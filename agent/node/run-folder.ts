import { mkdir } from 'node:fs/promises';
import { runProgram } from '../../base/run-program.js';
import type { AgentConfig } from '../config/agent-config.js';

/**
 * Makes the folder for what a reboot must empty. The embedded runtime keeps its namespaces and bundles there and wants it on tmpfs: on a
 * machine whose /run is on disk one is mounted. Comes before anything is put there, the API's socket included. May be repeated.
 */
export async function prepareRunFolder({ paths, runtime }: AgentConfig, signal: AbortSignal): Promise<void> {
  await mkdir(paths.runDir, { recursive: true, mode: 0o711 });
  if (runtime.endpoint !== 'embedded') return;
  const { ensureVolatileFolder } = await import('../../cri/embedded/index.js');
  await ensureVolatileFolder(paths.runDir, { run: runProgram }, signal);
}
