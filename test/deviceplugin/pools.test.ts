import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hostProgram } from '../support/host-program.js';
import { DeviceWorld, container, eventually, failureOf, pod, signal, statusOf } from './device-world.js';

describe('device pools', () => {
  const serial = 'example.com/serial';
  const makeNode = async (path: string): Promise<void> =>
    void (await hostProgram(['mknod', '-m', '0666', path, 'c', '1', '5']));

  test('hot-plug: devices come and go with their nodes; a used one that goes is unhealthy', async () => {
    await using world = await DeviceWorld.open();
    const dev = join(world.root, 'dev');
    await using manager = await world.manager({
      pools: [{ resource: serial, paths: [join(dev, 'ttyUSB*')], permissions: 'rwm' }],
    });
    expect(manager.capacity()).toEqual([{ resource: serial, capacity: 0, allocatable: 0 }]);
    await mkdir(dev);
    await makeNode(join(dev, 'ttyUSB0'));
    await writeFile(join(dev, 'ttyUSB9'), 'no device');
    await eventually('the first device', () => statusOf(manager, serial)?.capacity === 1);
    await manager.allocate(pod('pod-1', container('main', 1, 'regular', serial)), signal);
    expect(manager.containerOptions('pod-1', 'main')?.devices).toEqual([
      { hostPath: join(dev, 'ttyUSB0'), containerPath: join(dev, 'ttyUSB0'), permissions: 'rwm' },
    ]);
    await makeNode(join(dev, 'ttyUSB1'));
    await eventually('the second device', () => statusOf(manager, serial)?.capacity === 2);
    await hostProgram(['rm', join(dev, 'ttyUSB0')]);
    await eventually('the loss', () => statusOf(manager, serial)?.capacity === 1);
    expect(manager.containerHealth('pod-1', 'main')[0]?.resources[0]?.health).toBe('Unhealthy');
    await hostProgram(['rm', '-r', dev]);
    await eventually('all to be gone', () => statusOf(manager, serial)?.capacity === 0);
    await mkdir(dev);
    await makeNode(join(dev, 'ttyUSB0'));
    await eventually(
      'it to be back',
      () => manager.containerHealth('pod-1', 'main')[0]?.resources[0]?.health === 'Healthy',
    );
  });

  test('a shared device is handed out as often as it is shared, and once to a container', async () => {
    await using world = await DeviceWorld.open();
    const zero = { resource: 'example.com/zero', paths: ['/dev/zero'], share: 3 };
    await using manager = await world.manager({ pools: [zero] });
    expect(manager.capacity()).toEqual([{ resource: zero.resource, capacity: 3, allocatable: 3 }]);
    const wish = (uid: string, count: number): Promise<unknown> =>
      manager.allocate(pod(uid, container('main', count, 'regular', zero.resource)), signal);
    await wish('pod-1', 2);
    expect(manager.containerOptions('pod-1', 'main')?.devices).toEqual([
      { hostPath: '/dev/zero', containerPath: '/dev/zero', permissions: 'rw' },
    ]);
    await wish('pod-2', 1);
    expect((await failureOf(wish('pod-3', 1))).failure.code).toBe('insufficient');
    await manager.retainOnly(new Set(['pod-2']), signal);
    await wish('pod-3', 2);
  });
});
