import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { AgentConfig } from '../../../agent/config/agent-config.js';
import { withDefaults, type KubeletConfiguration } from '../../../agent/config/kubelet/index.js';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { container, podManifest, script } from '../pod-objects.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';

const withKubelet =
  (fields: Partial<KubeletConfiguration>, more: (config: AgentConfig) => AgentConfig = (config) => config) =>
  (config: AgentConfig): AgentConfig =>
    more({ ...config, kubelet: { ...withDefaults({}), volumeStatsAggPeriod: 500, evictionHard: {}, ...fields } });

const quiet = podManifest('quiet', { containers: [container('main')] });

/** The pod that had to go and why; the other one still runs as it did, and so does the agent. */
async function evicted(run: AgentRun, name: string, pressure: { type: string; reason: string }): Promise<string> {
  const pod = await run.untilPod(name, 'is evicted', ({ status }) => status.reason === 'Evicted', 60_000);
  await run.untilPod(name, 'has ended', ({ status }) => status.containerStatuses?.[0]?.state?.terminated !== undefined);
  expect(run.pod('quiet')).toMatchObject({ phase: 'Running', ready: true, restarts: 0 });
  expect(await run.sh('quiet', 'main', 'echo alive')).toBe('alive');
  await run.until('the pressure is told', () => {
    const told = run.eventsOf('test-node').join();
    return ['EvictionThresholdMet', pressure.reason].every((reason) => told.includes(reason));
  });
  // Stays for some minutes, so that the pod does not come back at once.
  const { conditions } = await run.node();
  expect(conditions.filter(({ status }) => status === 'True').map(({ type }) => type)).toEqual([
    pressure.type,
    'Ready',
  ]);
  expect(run.errors).toEqual([]);
  return pod.status.message ?? '';
}

async function end(world: AgentWorld, run: AgentRun): Promise<void> {
  for (const { name } of run.pods.values()) await run.delete(name, 0);
  await run.untilGone();
  expect(await world.leftovers()).toEqual([]);
}

/** What the machine has as soon as nothing runs: any count of threads is too many. */
function threadsAtMost(): number {
  const read = (path: string): number => Number(readFileSync(path, 'utf8'));
  return Math.min(read('/proc/sys/kernel/pid_max'), read('/proc/sys/kernel/threads-max'));
}

async function logOf(world: AgentWorld, pod: string): Promise<string> {
  const { podLogsDir } = world.config.paths;
  const folder = (await readdir(podLogsDir)).find((name) => name.startsWith(`default_${pod}_`)) ?? '';
  return await readFile(join(podLogsDir, folder, 'main/0.log'), 'utf8').catch(() => '');
}

test('a fork bomb: bounded by the limit of its pod, and gone when the node runs short of processes', async () => {
  const evictionHard: Record<string, string> = {};
  await using world = await AgentWorld.open(
    withKubelet({ evictionHard }, (config) => ({
      ...config,
      cgroups: { ...config.cgroups, podPidsLimit: 300 },
    })),
  );
  const before = await world.start();
  // It is critical: however short the node stays of processes, this pod never goes.
  await before.apply(podManifest('quiet', { containers: [container('main')], priority: 2_000_000_000 }));
  await before.untilReady('quiet');
  // Ends with the shell that cannot fork any more; what it made stays.
  const bomb = '( while :; do sleep 1000000 & done ) 2>/dev/null; echo bounded; exec sleep 1000000';
  await before.apply(podManifest('bomb', { containers: [script('main', bomb)] }));
  await vi.waitUntil(async () => (await logOf(world, 'bomb')).includes('bounded'), { timeout: 60_000, interval: 200 });
  await before[Symbol.asyncDispose]();

  // How many threads others have meanwhile must not matter: the agent that comes next finds too many.
  evictionHard['pid.available'] = String(threadsAtMost());
  await using run = await world.start();
  expect(await evicted(run, 'bomb', { type: 'PIDPressure', reason: 'NodeHasInsufficientPID' })).toMatch(
    /^The node was low on resource: pids\. Threshold quantity: /,
  );
  await end(world, run);
});

/** A filesystem of its own on this folder. */
async function smallDisk(image: string, folder: string, size: string, ...options: string[]): Promise<AsyncDisposable> {
  await mkdir(folder, { recursive: true });
  await hostProgram(['truncate', `--size=${size}`, image]);
  await hostProgram(['mkfs.ext4', '-q', ...options, image]);
  await hostProgram(['mount', '-o', 'loop', image, folder]);
  return { [Symbol.asyncDispose]: async () => void (await tryHostProgram(['umount', '-R', folder])) };
}

test('a disk that one writable layer fills: the pod that writes goes, however new what it wrote is', async () => {
  await using world = await AgentWorld.open(withKubelet({ evictionHard: { 'imagefs.available': '100Mi' } }));
  await using _disk = await smallDisk(
    join(world.dir, 'disk.ext4'),
    world.config.paths.stateDir,
    '400M',
    '-d',
    world.config.paths.stateDir,
  );
  const run = await world.start();
  await run.apply(quiet);
  await run.apply(podManifest('filling', { containers: [script('main', 'exec sleep 1000000')] }));
  for (const name of ['quiet', 'filling']) await run.untilReady(name);
  // What is counted from now on is old when the disk is full.
  const { code } = await run.exec('filling', 'main', 'dd', 'if=/dev/zero', 'of=/big', 'bs=1M', 'count=250');
  // The last of it may be written when the pod goes already.
  expect([0, 137]).toContain(code);
  expect(await evicted(run, 'filling', { type: 'DiskPressure', reason: 'NodeHasDiskPressure' })).toMatch(
    /^The node was low on resource: ephemeral-storage\. Threshold quantity: 100Mi, available: \S+\. Container main was using 2\d\d/,
  );
  for (const name of ['filling', 'quiet']) await run.delete(name, 0);
  await run.untilGone();
  await run[Symbol.asyncDispose]();
});

test('a filesystem without inodes: the pod that took them goes', async () => {
  await using world = await AgentWorld.open(withKubelet({ evictionHard: { 'nodefs.inodesFree': '800' } }));
  await using _disk = await smallDisk(join(world.dir, 'disk.ext4'), world.config.paths.rootDir, '64M', '-N', '1600');
  const run = await world.start();
  await run.apply(quiet);
  await run.untilReady('quiet');
  const files = 'i=0; while [ $i -lt 900 ]; do : > /data/$i; i=$((i+1)); done; exec sleep 1000000';
  await run.apply(
    podManifest('littering', {
      containers: [script('main', files, { volumeMounts: [{ name: 'data', mountPath: '/data' }] })],
      volumes: [{ name: 'data', emptyDir: {} }],
    }),
  );
  expect(await evicted(run, 'littering', { type: 'DiskPressure', reason: 'NodeHasDiskPressure' })).toMatch(
    /^The node was low on resource: inodes\. Threshold quantity: 800, available: \d+\. /,
  );
  for (const name of ['littering', 'quiet']) await run.delete(name, 0);
  await run.untilGone();
  await run[Symbol.asyncDispose]();
});
