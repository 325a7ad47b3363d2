import { mkdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { AgentConfig } from '../../../agent/config/agent-config.js';
import { withDefaults, type KubeletConfiguration } from '../../../agent/config/kubelet/index.js';
import { readHostFacts } from '../../../agent/node/host-facts.js';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { container, podManifest, script } from '../pod-objects.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';

const mebi = 2 ** 20;

const withKubelet =
  (fields: Partial<KubeletConfiguration>) =>
  (config: AgentConfig): AgentConfig => ({
    ...config,
    kubelet: { ...withDefaults({}), volumeStatsAggPeriod: 500, evictionHard: {}, ...fields },
  });

/** The pod that had to go and why; the other one still runs as it did. */
async function evicted(run: AgentRun, name: string, survivor: string): Promise<string> {
  const pod = await run.untilPod(name, 'is evicted', ({ status }) => status.reason === 'Evicted', 60_000);
  expect(pod.phase).toBe('Failed');
  await run.untilPod(name, 'has ended', ({ status }) => status.containerStatuses?.[0]?.state?.terminated !== undefined);
  expect(run.pod(survivor)).toMatchObject({ phase: 'Running', ready: true, restarts: 0 });
  expect(run.eventsOf(survivor).filter((event) => event.startsWith('Evicted'))).toEqual([]);
  return pod.status.message ?? '';
}

/** Puts a small filesystem under the agent's own folder. */
async function smallRoot(config: AgentConfig, bytes: number): Promise<AsyncDisposable> {
  const { rootDir } = config.paths;
  await mkdir(rootDir, { recursive: true });
  await hostProgram(['mount', '-t', 'tmpfs', '-o', `size=${bytes},mode=0750`, 'berth-test', rootDir]);
  return { [Symbol.asyncDispose]: async () => void (await tryHostProgram(['umount', '-R', rootDir])) };
}

const quiet = podManifest('quiet', { containers: [container('main')] });
const volumes = [{ name: 'data', emptyDir: {} }];
const volumeMounts = [{ name: 'data', mountPath: '/data' }];

test('a volume or a pod over its own limit takes its pod, and nobody else', async () => {
  // Never that few, but near enough for the node to be looked at every second.
  await using world = await AgentWorld.open(withKubelet({ evictionHard: { 'pid.available': '60%' } }));
  await using run = await world.start();
  await run.apply(quiet);
  await run.apply(
    podManifest('glutton', {
      // Only when it has been counted before.
      containers: [script('main', 'sleep 3; dd if=/dev/zero of=/data/x bs=1M count=8; sleep 1000', { volumeMounts })],
      volumes: [{ name: 'data', emptyDir: { sizeLimit: '4Mi' } }],
    }),
  );
  const local = { resources: { limits: { 'ephemeral-storage': '4Mi' } } };
  await run.apply(podManifest('talker', { containers: [script('main', 'yes | head -c 8000000; sleep 1000', local)] }));
  await run.untilReady('quiet');
  expect(await evicted(run, 'glutton', 'quiet')).toBe('Usage of EmptyDir volume "data" exceeds the limit "4Mi". ');
  expect(await evicted(run, 'talker', 'quiet')).toBe(
    'Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ',
  );
  for (const name of ['glutton', 'talker']) await run.delete(name);
  await run.delete('quiet');
  await run.untilGone();
});

test('a full disk: the pod that filled it goes, and the node can be used again', async () => {
  await using world = await AgentWorld.open(withKubelet({ evictionHard: { 'nodefs.available': '40Mi' } }));
  await using _root = await smallRoot(world.config, 100 * mebi);
  await using run = await world.start();
  await run.apply(quiet);
  await run.apply(
    podManifest('filler', {
      containers: [script('main', 'dd if=/dev/zero of=/data/x bs=1M count=70; sleep 1000', { volumeMounts })],
      volumes,
    }),
  );
  await run.untilReady('quiet');
  expect(await evicted(run, 'filler', 'quiet')).toMatch(
    /^The node was low on resource: ephemeral-storage\. Threshold quantity: 40Mi/,
  );
  await run.until('the pressure is told', () => run.eventsOf('test-node').join().includes('EvictionThresholdMet'));
  for (const name of ['filler', 'quiet']) await run.delete(name);
  await run.untilGone();
});

test('pods together out of memory: the one over its request goes', async () => {
  const { memoryBytes } = await readHostFacts();
  const systemReserved = { memory: String(memoryBytes - 400 * mebi) };
  await using world = await AgentWorld.open(
    withKubelet({ systemReserved, evictionHard: { 'memory.available': '150Mi' } }),
  );
  await using run = await world.start();
  await run.apply(quiet);
  await run.untilReady('quiet');
  await run.apply(
    // What was read and cannot be written stays in memory.
    podManifest('hog', { containers: [script('main', 'dd if=/dev/zero bs=300M count=1 | sleep 1000')] }),
  );
  expect(await evicted(run, 'hog', 'quiet')).toMatch(
    /^The node was low on resource: memory\. Threshold quantity: 150Mi/,
  );
  for (const name of ['hog', 'quiet']) await run.delete(name);
  await run.untilGone();
});
