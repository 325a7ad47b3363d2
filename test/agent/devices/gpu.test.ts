import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentRun } from '../agent-run.js';
import { BuiltExamples } from '../../deviceplugin/build-examples.js';
import { expectSpeed } from '../../support/speed.js';
import { untilAsync } from '../../support/until-async.js';
import { deviceStatus, gpu, GpuAgent, gpuPod, healthOf } from './gpu-agent.js';
import { podResources } from './pod-resources.js';

const never = new AbortController().signal;

let examples: BuiltExamples;
beforeAll(async () => {
  examples = await BuiltExamples.build();
});
afterAll(() => examples[Symbol.asyncDispose]());

/** All pods go, and nothing of them may be left: no process, no mount, no grant. */
async function end({ world, plugin }: GpuAgent, run: AgentRun): Promise<void> {
  for (const { name } of run.pods.values()) await run.delete(name, 1);
  await run.untilGone();
  await plugin.stop('SIGTERM');
  const leftovers = (await world.leftovers()).filter((line) => !line.includes('/gpu/main.js'));
  expect(leftovers).toEqual([]);
  const checkpoint = join(world.config.paths.rootDir, 'device-plugins', 'kubelet_internal_checkpoint');
  if (!existsSync(checkpoint)) return;
  const grants = async (): Promise<unknown[]> => {
    const { Data } = JSON.parse(await readFile(checkpoint, 'utf8')) as { Data: { PodDeviceEntries: unknown[] | null } };
    return Data.PodDeviceEntries ?? [];
  };
  await untilAsync('no grant is written down', async () => (await grants()).length === 0, { tell: grants });
}

test('a pod sees its GPU, its status says how the GPU is, and the pod outlives plugin and agent', async () => {
  await using agent = await GpuAgent.open(examples, 2);
  const { world, plugin } = agent;
  const first = await world.start();
  await first.untilStarted();
  await agent.startPlugin();

  await first.apply(gpuPod('web'));
  await first.untilReady('web');
  const id = await first.sh('web', 'main', 'echo $NVIDIA_VISIBLE_DEVICES');
  expect(id).toMatch(/^gpu-[01]$/);
  // The simulated GPU is a /dev/zero: only what the cgroup allows can be opened.
  expect(await first.sh('web', 'main', 'test -c /dev/gpu* && head -c 3 /dev/gpu* | wc -c')).toBe('3');
  expect(deviceStatus(first.pod('web'))).toEqual([{ name: gpu, resources: [{ resourceID: id, health: 'Healthy' }] }]);

  using client = podResources(world);
  const list = await client.call('list', {}, 5000, never);
  expect(list.podResources).toMatchObject([
    { name: 'web', containers: [{ name: 'main', devices: [{ resourceName: gpu, deviceIds: [id] }] }] },
  ]);

  const broken = performance.now();
  await agent.breakGpus(id);
  await first.untilPod('web', 'tells of the broken GPU', (pod) => healthOf(pod).includes(`${id} Unhealthy`));
  // From the write to the control file; the agent's own part of it is to be under 100 ms.
  expectSpeed('health change until the pod tells, ms', performance.now() - broken, 2000);
  await agent.healGpus();
  await first.untilPod('web', 'tells that it is well', (pod) => healthOf(pod).includes(`${id} Healthy`));

  const { containerID } = first.container('web', 'main');
  await plugin.stop('SIGKILL');
  const alone = await first.untilPod('web', 'has nobody to ask', (pod) => healthOf(pod).includes(`${id} Unknown`));
  expect(deviceStatus(alone)?.[0]?.resources?.[0]?.message).toContain(gpu);
  plugin.start();
  await first.untilPod('web', 'is well again', (pod) => healthOf(pod).includes(`${id} Healthy`));

  // The plugin goes, then the agent: the pod that runs keeps running, a new one waits and says for what.
  await plugin.stop('SIGKILL');
  await first.kill();
  const second = await world.start();
  await second.untilStarted();
  await second.untilReady('web');
  await second.apply(gpuPod('late'));
  const waiting = await second.untilPod('late', 'waits', (pod) => pod.waits.some((wait) => wait.startsWith('devices')));
  expect(waiting.waits[0]).toMatch(
    /^devices device example\.com\/gpu: the device plugin of example\.com\/gpu was here before.*; the pod is refused at /,
  );
  expect(waiting.phase).toBe('Pending');
  expect(waiting.status.containerStatuses?.[0]?.state?.waiting?.message).toContain('was here before');
  expect(second.eventsOf('late')).toContainEqual(expect.stringMatching(/^WaitingForDevices: /));

  plugin.start();
  await second.untilReady('late');
  const other = await second.sh('late', 'main', 'echo $NVIDIA_VISIBLE_DEVICES');
  expect(other).not.toBe(id);
  expect(second.container('web', 'main')).toMatchObject({ containerID, restartCount: 0 });
  await end(agent, second);
});

test('one GPU: a second pod is refused, and one that takes the place of an ending pod waits for it', async () => {
  await using agent = await GpuAgent.open(examples, 1);
  const run = await agent.world.start();
  await run.untilStarted();
  await agent.startPlugin();
  const slow = { preStop: { exec: { command: ['sleep', '1000'] } } };
  await run.apply(gpuPod('holder', { lifecycle: slow }));
  await run.untilReady('holder');

  await run.apply(gpuPod('second'));
  const refused = await run.untilPod('second', 'was refused', (pod) => pod.phase === 'Failed');
  expect(refused.status).toMatchObject({
    reason: `OutOf${gpu}`,
    message: `Pod was rejected: Node didn't have enough resource: ${gpu}, requested: 1, used: 1, capacity: 1`,
  });

  await run.delete('holder', 300);
  await run.apply(gpuPod('successor'));
  await run.untilPod('successor', 'waits for the one that ends', ({ waits }) =>
    waits.some((wait) => wait.includes('pods that are ending give back theirs: holder')),
  );
  await run.delete('holder', 1);
  await run.untilReady('successor');
  expect(await run.sh('successor', 'main', 'echo $NVIDIA_VISIBLE_DEVICES')).toBe('gpu-0');

  await agent.breakGpus('gpu-0');
  await run.untilPod('successor', 'tells of it', (pod) => healthOf(pod).includes('gpu-0 Unhealthy'));
  await run.delete('successor', 1);
  await run.until('successor is gone', () => run.find('successor') === undefined);
  await run.apply(gpuPod('unlucky'));
  const unlucky = await run.untilPod('unlucky', 'was refused', (pod) => pod.phase === 'Failed');
  expect(unlucky.status).toMatchObject({
    reason: 'UnexpectedAdmissionError',
    message: `Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate unhealthy devices ${gpu}, which is unexpected`,
  });
  await end(agent, run);
});

test('a plugin that stays away past its grace: the waiting pod is refused with the reason', async () => {
  await using agent = await GpuAgent.open(examples, 1, (config) => ({
    ...config,
    devices: { ...config.devices, graceMs: 1500 },
  }));
  const run = await agent.world.start();
  await run.untilStarted();
  await agent.startPlugin();
  await agent.plugin.stop('SIGKILL');
  await run.apply(gpuPod('lost'));
  const lost = await run.untilPod('lost', 'was refused', (pod) => pod.phase === 'Failed');
  expect(lost.status.reason).toBe('UnexpectedAdmissionError');
  expect(lost.status.message).toMatch(/^Pod was rejected: Allocate failed due to .*, which is unexpected$/);
  await end(agent, run);
});
