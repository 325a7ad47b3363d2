import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { orAbort } from '../../base/signals.js';
import { ServedDevicePlugin } from '../serve/serve-device-plugin.js';
import { UnixServer } from '../wire/unix-server.js';
import { DeviceManager, type ResourceStatus } from './device-manager.js';
import { pluginFolder } from './plugin-folder.js';

const resource = 'example.com/card';
const { signal } = new AbortController();

let root = '';
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'berth-devices-'))));
afterEach(() => rm(root, { recursive: true }));

const manager = (reconnectMs: number): DeviceManager =>
  new DeviceManager(
    { root, numaNodes: [0], reconnectMs },
    { clock: systemClock, recorder: noRecorder, log: silentLogger },
  );

async function untilReady(devices: DeviceManager): Promise<void> {
  const isReady = (): boolean => devices.status().some(({ state }) => state === 'ready');
  while (!isReady()) {
    let changed = (): void => {};
    const change = new Promise<void>((resolve) => (changed = resolve));
    using _told = devices.subscribe(() => changed());
    if (!isReady()) await change;
  }
}

/** A plugin that registered with an agent that is gone since. */
async function servedBefore(): Promise<ServedDevicePlugin> {
  await using first = manager(0);
  await first.start(signal);
  const plugin = await ServedDevicePlugin.serve({ resource, folder: pluginFolder(root) }, { allocate: () => ({}) }, [
    { id: 'a', healthy: true, numaNodes: [] },
    { id: 'b', healthy: false, numaNodes: [] },
  ]);
  await untilReady(first);
  return plugin;
}

test('what plugins that live on offer is known when the manager has started', async () => {
  await using _plugin = await servedBefore();
  await using second = manager(60_000);
  await second.start(signal);
  expect(second.status()).toMatchObject([{ resource, state: 'ready', capacity: 2, allocatable: 1 }]);
});

test('a plugin that does not answer any more is not waited for', async () => {
  const socketPath = await (async (): Promise<string> => {
    await using _plugin = await servedBefore();
    return join(pluginFolder(root), 'example.com_card.sock');
  })();
  // Somebody listens there, and knows nothing of devices.
  await using _other = await UnixServer.listen(socketPath, () => Promise.resolve([]), 0o750);
  await using second = manager(60_000);
  await orAbort(second.start(signal), AbortSignal.timeout(50_000));
  expect(second.status().map(({ state }: ResourceStatus) => state)).toEqual(['awaited']);
});
