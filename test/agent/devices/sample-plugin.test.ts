import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { AgentWorld } from '../agent-world.js';
import { container, podManifest } from '../pod-objects.js';
import { MountedPlugin } from './mounted-plugin.js';
import { healthOf } from './gpu-agent.js';

const program = process.env['BERTH_SAMPLE_DEVICE_PLUGIN'] ?? '/usr/local/bin/sample-device-plugin';
const missing = !existsSync(program);
if (missing) console.warn(`SKIPPED the sample device plugin of Kubernetes: needs ${program}`);

const resource = 'example.com/resource';
/** The plugin makes these files for the devices it hands out. */
const given = ['/tmp/Dev-1', '/tmp/Dev-2'];
afterAll(async () => {
  for (const path of given) await rm(path, { force: true });
});

const samplePod = (name: string): string =>
  podManifest(name, { containers: [container('main', { resources: { limits: { [resource]: '1' } } })] });

test.skipIf(missing)(
  'the sample plugin of Kubernetes: allocated, and back after its own end and that of the agent',
  async ({ onTestFailed }) => {
    await using world = await AgentWorld.open();
    const folder = join(world.config.paths.rootDir, 'device-plugins');
    await mkdir(folder, { recursive: true });
    await using plugin = new MountedPlugin(program, folder);
    onTestFailed(() => console.error(`the plugin said:\n${plugin.log}`));
    const first = await world.start();
    await first.untilStarted();
    // One whose registration is cut off gives up: each run of it is waited for.
    const startPlugin = async (): Promise<void> => {
      plugin.start();
      const registered = (): void => expect(plugin.log).toContain('Device Plugin registered with the Kubelet');
      await vi.waitFor(registered, { timeout: 60_000, interval: 20 });
    };
    await startPlugin();

    await first.apply(samplePod('one'));
    await first.untilReady('one');
    const device = (await first.sh('one', 'main', 'cd /tmp && ls -d Dev-*')).trim();
    expect(given).toContain(`/tmp/${device}`);
    expect(healthOf(first.pod('one'))).toEqual([`${device} Healthy`]);
    const { containerID } = first.container('one', 'main');

    await plugin.kill();
    await first.untilPod('one', 'has nobody to ask', (pod) => healthOf(pod).includes(`${device} Unknown`));
    await startPlugin();
    await first.untilPod('one', 'is well again', (pod) => healthOf(pod).includes(`${device} Healthy`));

    // The agent alone is killed, and its checkpoint is spoilt meanwhile: the device of the pod that runs stays its own.
    const checkpoint = join(folder, 'kubelet_internal_checkpoint');
    const copied = async (): Promise<void> =>
      expect(await readFile(`${checkpoint}.copy`, 'utf8')).toBe(await readFile(checkpoint, 'utf8'));
    await vi.waitFor(copied, { timeout: 60_000, interval: 20 });
    await first.kill();
    await writeFile(checkpoint, '{"Data":{"PodDev');
    const second = await world.start();
    await second.untilStarted();
    await second.untilReady('one');
    await second.untilPod('one', 'is well', (pod) => healthOf(pod).includes(`${device} Healthy`));
    await second.apply(samplePod('two'));
    await second.untilReady('two');
    const other = (await second.sh('two', 'main', 'cd /tmp && ls -d Dev-*')).trim();
    expect([device, other].sort()).toEqual(['Dev-1', 'Dev-2']);
    expect(second.container('one', 'main')).toMatchObject({ containerID, restartCount: 0 });

    for (const { name } of second.pods.values()) await second.delete(name, 1);
    await second.untilGone();
    await plugin.kill();
    expect(await world.leftovers()).toEqual([]);
  },
);
