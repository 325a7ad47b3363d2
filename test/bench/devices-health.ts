import { join } from 'node:path';
import { ServedDevicePlugin } from '../../deviceplugin/index.js';
import type { PodLine } from '../agent/agent-run.js';
import { AgentWorld } from '../agent/agent-world.js';
import { container, podManifest } from '../agent/pod-objects.js';
import { benchRow, percentile, timesOf, type BenchRow } from './measure.js';

const resource = 'example.com/nic';
const targetMs = 100;

/** From a plugin's word that a device broke, or is well again, until the status of the pod that holds it says so. */
export async function benchDeviceHealth(): Promise<BenchRow[]> {
  await using world = await AgentWorld.open();
  const run = await world.start();
  await run.untilStarted();
  const device = (healthy: boolean) => [{ id: 'nic-0', healthy, numaNodes: [] }];
  await using plugin = await ServedDevicePlugin.serve(
    { resource, folder: join(world.config.paths.rootDir, 'device-plugins') },
    { allocate: () => ({}) },
    device(true),
  );
  const limits = { resources: { limits: { [resource]: '1' } } };
  // One that is too early runs without devices; the agent says so, and the next one is later.
  for (let attempt = 0; ; attempt++) {
    const name = `holder-${attempt}`;
    await run.apply(podManifest(name, { containers: [container('main', limits)] }));
    await run.untilReady(name);
    if (healthOf(run.pod(name)) !== undefined) break;
    await run.delete(name, 0);
    await run.until(`${name} is gone`, () => run.find(name) === undefined);
    if (attempt > 20) throw new Error('the plugin was not taken into use');
  }
  const holder = [...run.pods.values()][0]?.name ?? '';
  const times = await timesOf(20, 4, async (round) => {
    const healthy = round % 2 === 1;
    const wanted = healthy ? 'Healthy' : 'Unhealthy';
    const told = run.untilPod(holder, `tells ${wanted}`, (pod) => healthOf(pod) === wanted);
    plugin.update(device(healthy));
    await told;
  });
  await run.delete(holder, 0);
  await run.untilGone();
  return [
    benchRow("a device's health in the pod status, median", percentile(times, 0.5), targetMs),
    benchRow("a device's health in the pod status, slowest of 20", percentile(times, 1), targetMs),
  ];
}

const healthOf = ({ status }: PodLine): string | undefined =>
  status.containerStatuses?.[0]?.allocatedResourcesStatus?.[0]?.resources?.[0]?.health;
