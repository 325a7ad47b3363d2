import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describeEnd, programSucceeded, runProgram } from '../../../base/run-program.js';
import type { Gpu, GpuSet } from './gpu.js';

export interface SimulationOptions {
  readonly folder: string;
  readonly count: number;
  /** The GPUs are spread over nodes 0 to this, less one; 0 for none. */
  readonly numaNodes: number;
}

/** The numbers of /dev/zero: reading from a simulated GPU gives something, and anybody may make such a node. */
const deviceNumbers = ['c', '1', '5'] as const;

/** GPUs that are real character devices and no GPUs. Needs the right to make device nodes. */
export async function makeSimulatedGpus(options: SimulationOptions, signal: AbortSignal): Promise<GpuSet> {
  await mkdir(options.folder, { recursive: true });
  const gpus: Gpu[] = [];
  for (let at = 0; at < options.count; at++) {
    const hostPath = join(options.folder, `gpu${at}`);
    await makeNode(hostPath, signal);
    gpus.push({
      id: `gpu-${at}`,
      model: 'simulated GPU',
      nodes: [{ hostPath, containerPath: `/dev/gpu${at}` }],
      numaNodes: options.numaNodes === 0 ? [] : [Math.floor((at * options.numaNodes) / options.count)],
    });
  }
  return { gpus, shared: [], notes: [] };
}

async function makeNode(path: string, signal: AbortSignal): Promise<void> {
  const result = await runProgram(
    {
      argv: ['mknod', '-m', '0666', path, ...deviceNumbers],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      timeoutMs: 5000,
    },
    signal,
  );
  if (programSucceeded(result) || result.stderr.includes('File exists')) return;
  throw new Error(`make the device node ${path}: ${describeEnd(result)}`);
}
