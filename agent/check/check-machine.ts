import { join } from 'node:path';
import { lack, note, ok, type Finding } from './finding.js';
import type { Host } from './host.js';

export interface MachinePlaces {
  readonly stateDir: string;
  readonly runDir: string;
  readonly podLogsDir: string;
  readonly socketPath: string;
  readonly healthzAddress: string;
  readonly healthzPort: number;
}

const gib = 1024 ** 3;

/** Room on the disks, and who else may be at work here. */
export async function checkMachine(host: Host, places: MachinePlaces): Promise<Finding[]> {
  const running = await host.answers(places.socketPath);
  return [
    await checkDisk(host, 'disk for images and containers', places.stateDir, {
      lackBelow: 0.2 * gib,
      noteBelow: 2 * gib,
    }),
    await checkDisk(host, 'disk for runtime files', places.runDir, { lackBelow: 0.01 * gib, noteBelow: 0.1 * gib }),
    await checkDisk(host, 'disk for logs', places.podLogsDir, { lackBelow: 0.02 * gib, noteBelow: gib }),
    running
      ? note(
          'agent',
          `a berth agent runs and answers on ${places.socketPath}`,
          'another one needs its own --run-dir, --state-dir, --root-dir and --cgroup-root',
        )
      : ok('agent', `none answers on ${places.socketPath}`),
    await checkKubelet(host),
    await checkPort(host, places, running),
  ];
}

async function checkDisk(
  host: Host,
  subject: string,
  path: string,
  { lackBelow, noteBelow }: { readonly lackBelow: number; readonly noteBelow: number },
): Promise<Finding> {
  const { bytes, inodes } = await host.free(path);
  const found = `${(bytes / gib).toFixed(bytes < gib ? 2 : 1)} GiB free at ${path}`;
  // Some file systems count no inodes and say 0.
  if (inodes > 0 && inodes < 1000)
    return lack(subject, `${inodes} inodes free at ${path}`, 'remove files there, or give another folder');
  if (bytes < lackBelow) return lack(subject, found, 'make room, or give another folder');
  return bytes < noteBelow ? note(subject, found, 'make room: images and logs grow') : ok(subject, found);
}

/** A kubelet on the same folders would fight over the same pods. */
async function checkKubelet(host: Host): Promise<Finding> {
  const pids = (await host.list('/proc')).filter((name) => /^\d+$/.test(name));
  const names = await Promise.all(pids.map(async (pid) => (await host.read(join('/proc', pid, 'comm')))?.trim()));
  const pid = pids[names.indexOf('kubelet')];
  if (pid === undefined) return ok('kubelet', 'none runs');
  return note(
    'kubelet',
    `one runs as process ${pid}`,
    'systemctl disable --now kubelet, or give berth its own --root-dir and --cgroup-root',
  );
}

async function checkPort(
  host: Host,
  { healthzAddress, healthzPort }: MachinePlaces,
  agentRuns: boolean,
): Promise<Finding> {
  const subject = `port ${healthzPort}`;
  if (await host.portIsFree(healthzAddress, healthzPort)) return ok(subject, 'free for /healthz and /metrics');
  if (agentRuns) return ok(subject, 'in use, as it must be while an agent runs');
  return note(
    subject,
    `in use on ${healthzAddress}; /healthz and /metrics cannot be served`,
    `ss -ltnp sport = :${healthzPort} says by whom`,
  );
}
