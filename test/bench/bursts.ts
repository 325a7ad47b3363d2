import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../base/run-program.js';
import { makeBusyboxRootfs } from '../../cri/embedded/images/index.js';
import { runBurst, type AgentSample } from './agent-burst.js';
import { ownNetwork } from './bench-network.js';
import { runFloor } from './floor.js';
import { percentile, type Sample } from './measure.js';

export interface BurstTableOptions {
  /** Pods at once, one row each. */
  readonly counts: readonly number[];
  /** An empty folder. */
  readonly dir: string;
  readonly idleMs: number;
}

async function floorOf(count: number, dir: string, rootfs: string): Promise<Sample> {
  const network = ownNetwork(join(dir, `addresses-${count}`));
  const concurrency = Math.max(cpus().length * 2, 4);
  try {
    return await runFloor(count, { dir: join(dir, `floor-${count}`), rootfs, concurrency, ...network });
  } finally {
    const argv: [string, ...string[]] = ['ip', 'link', 'delete', network.bridge];
    await runProgram(
      { argv, env: { PATH: '/usr/sbin:/sbin:/usr/bin:/bin' }, timeoutMs: 10_000 },
      new AbortController().signal,
    );
  }
}

const seconds = (ms: number): string => (ms / 1000).toFixed(2);

function row(count: number, floor: Sample, agent: AgentSample): string {
  const last = percentile(agent.readyMs, 1);
  const floorLast = percentile(floor.readyMs, 1);
  const cells = [
    count,
    seconds(floorLast),
    seconds(last),
    (last / floorLast).toFixed(2),
    seconds(percentile(agent.readyMs, 0.5)),
    seconds(percentile(agent.readyMs, 0.99)),
    (percentile(agent.readyMs, 0.5) / last).toFixed(2),
    agent.cpuMsPerPod.toFixed(1),
    agent.rssMiB.toFixed(0),
    `${seconds(floor.deleteMs)} / ${seconds(agent.deleteMs)}`,
    agent.idleCpuPerMinute === undefined ? '' : agent.idleCpuPerMinute.toFixed(2),
    agent.adoption === undefined ? '' : `${seconds(agent.adoption.ms)} (${agent.adoption.restarts} restarts)`,
  ];
  return `| ${cells.join(' | ')} |`;
}

const header = [
  'pods',
  'floor s',
  'agent s',
  'ratio',
  'p50 s',
  'p99 s',
  'p50/max',
  'CPU ms/pod',
  'RSS MiB',
  'delete s (floor / agent)',
  'idle CPU s/min',
  'adopt s',
];

/** Bursts of one-container pods beside the bare loop of the same steps. Ratios count; times are the machine's. */
export async function printBursts({ counts, dir, idleMs }: BurstTableOptions): Promise<void> {
  const rootfs = join(dir, 'rootfs');
  await mkdir(rootfs);
  await makeBusyboxRootfs(rootfs, {}, { run: runProgram }, new AbortController().signal);
  console.log(`| ${header.join(' | ')} |\n|${header.map(() => '---:').join('|')}|`);
  for (const count of counts) {
    const floor = await floorOf(count, dir, rootfs);
    const agent = await runBurst({ count, whole: count === 100, idleMs });
    console.log(row(count, floor, agent));
  }
}
