import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { AgentWorld } from '../agent-world.js';
import { container, podManifest } from '../pod-objects.js';
import { hostProgram } from '../../support/host-program.js';
import { healthOf } from './gpu-agent.js';
import { podResources } from './pod-resources.js';

const port = 'example.com/port';

const portPod = (name: string): string =>
  podManifest(name, { containers: [container('main', { resources: { limits: { [port]: '1' } } })] });

test('a device pool of the configuration: nodes come and go while the agent runs, and no plugin is needed', async () => {
  await using world = await AgentWorld.open((config) => {
    const pattern = join(dirname(config.paths.rootDir), 'dev', 'port*');
    return { ...config, devices: { ...config.devices, pools: [{ resource: port, paths: [pattern] }] } };
  });
  const dev = join(world.dir, 'dev');
  await mkdir(dev);
  const node = async (name: string): Promise<void> =>
    void (await hostProgram(['mknod', join(dev, name), 'c', '1', '5']));
  await node('port0');
  const run = await world.start();
  await run.untilStarted();
  await run.apply(portPod('first'));
  await run.untilReady('first');
  expect(await run.sh('first', 'main', `head -c 2 ${dev}/port0 | wc -c`)).toBe('2');
  const first = run.pod('first');
  expect(healthOf(first)).toEqual([expect.stringMatching(/ Healthy$/)]);

  await run.apply(portPod('none-left'));
  await run.untilPod('none-left', 'was refused', (pod) => pod.phase === 'Failed');
  await node('port1');
  using client = podResources(world);
  const offered = async (): Promise<number> =>
    (await client.call('getAllocatableResources', {}, 5000, new AbortController().signal)).devices?.length ?? 0;
  await vi.waitFor(async () => expect(await offered()).toBe(2), { timeout: 60_000, interval: 50 });
  await run.apply(portPod('second'));
  await run.untilReady('second');
  expect(await run.sh('second', 'main', `ls ${dev}`)).toBe('port1');

  const ofNode = async (): Promise<unknown[]> => {
    const { capacity, allocatable } = await run.node();
    return [capacity[port], allocatable[port]];
  };
  const untilNodeHas = (count: string): Promise<void> =>
    vi.waitFor(async () => expect(await ofNode()).toEqual([count, count]), { timeout: 60_000, interval: 50 });
  await untilNodeHas('2');
  await rm(join(dev, 'port0'));
  await run.untilPod('first', 'tells of the node that went', (pod) => healthOf(pod)[0]?.endsWith('Unhealthy') === true);
  await untilNodeHas('1');
  for (const { name } of run.pods.values()) await run.delete(name, 1);
  await run.untilGone();
  expect(await world.leftovers()).toEqual([]);
});

test('a pool that makes no sense keeps the agent from starting, and says where', async () => {
  await using world = await AgentWorld.open((config) => ({
    ...config,
    devices: { ...config.devices, pools: [{ resource: 'port', paths: ['dev/x'] }] },
  }));
  const run = await world.start();
  await run.ended;
  expect(run.log).toContain('devicePools[0].resource: "port": it has no domain');
});

test('devices turned off: pods run without, and nothing listens', async () => {
  await using world = await AgentWorld.open((config) => ({
    ...config,
    devices: { enabled: false, pools: [] },
  }));
  const run = await world.start();
  await run.untilStarted();
  await run.apply(portPod('plain'));
  await run.untilReady('plain');
  expect(existsSync(join(world.config.paths.rootDir, 'device-plugins/kubelet.sock'))).toBe(false);
  await run.delete('plain', 1);
  await run.untilGone();
  expect(await world.leftovers()).toEqual([]);
});
