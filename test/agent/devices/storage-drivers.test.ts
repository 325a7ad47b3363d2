import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { container, podManifest } from '../pod-objects.js';
import { BuiltExample } from '../../csi/build-example.js';
import { ExampleDriver } from '../../csi/example-driver.js';
import type { Volume } from '../../../agent/api/index.js';

const name = 'folder.csi.example.com';
const examples = fileURLToPath(new URL('../../../csi/flexvolume/examples', import.meta.url));

const podWith = (podName: string, volume: Volume): string =>
  podManifest(podName, {
    containers: [container('main', { volumeMounts: [{ name: volume.name, mountPath: '/data' }] })],
    volumes: [volume],
  });

async function end(world: AgentWorld, run: AgentRun, driver?: ExampleDriver): Promise<void> {
  for (const pod of run.pods.values()) await run.delete(pod.name, 1);
  await run.untilGone();
  // Its arguments name the folder whose processes are looked for.
  await driver?.stop('SIGTERM');
  expect(await world.leftovers()).toEqual([]);
}

test('a CSI driver that registers while a pod waits for it; its volume outlives a kill -9 of the agent', async () => {
  await using example = await BuiltExample.build();
  await using world = await AgentWorld.open();
  const folder = join(world.dir, 'driver');
  await mkdir(folder);
  const registry = join(world.config.paths.rootDir, 'plugins_registry');
  await mkdir(registry, { recursive: true });
  await using driver = new ExampleDriver({ main: example.main, name, nodeId: 'here', folder, registry });
  const run = await world.start();
  await run.untilStarted();
  await run.apply(
    JSON.stringify({
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSIDriver',
      metadata: { name },
      spec: { volumeLifecycleModes: ['Persistent', 'Ephemeral'], podInfoOnMount: true, attachRequired: false },
    }),
  );
  await run.apply(podWith('inline', { name: 'data', csi: { driver: name } }));
  await run.untilPod('inline', 'waits for the driver', (pod) => pod.waits.some((wait) => wait.includes(name)));
  await driver.start();
  await run.untilReady('inline');
  await run.sh('inline', 'main', 'echo kept > /data/word');
  await run.kill();
  const next = await world.start();
  await next.untilReady('inline');
  expect(await next.sh('inline', 'main', 'cat /data/word')).toBe('kept');
  await end(world, next, driver);
});

test('a FlexVolume driver that is put into its folder', async () => {
  await using world = await AgentWorld.open();
  const run = await world.start();
  await run.untilStarted();
  await run.apply(
    podWith('flexible', { name: 'data', flexVolume: { driver: 'example.com/scratch', options: { size: '1m' } } }),
  );
  await run.untilPod('flexible', 'waits', (pod) => pod.waits.some((wait) => wait.includes('example.com/scratch')));
  await cp(join(examples, 'example.com~scratch'), join(world.config.paths.volumePluginDir, 'example.com~scratch'), {
    recursive: true,
  });
  await run.untilReady('flexible');
  expect(await run.sh('flexible', 'main', 'grep -c " /data " /proc/mounts')).toBe('1');
  await end(world, run);
});
