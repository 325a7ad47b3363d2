import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../base/clock.js';
import { orAbort } from '../../base/signals.js';
import { checkpointChecksum } from '../../deviceplugin/checkpoint/checkpoint-checksum.js';
import { hostProgram } from '../support/host-program.js';
import {
  DeviceWorld,
  container,
  eventually,
  failureOf,
  gpu,
  healthy,
  pod,
  rawPlugin,
  ready,
  register,
  signal,
  statusOf,
} from './device-world.js';

/** The time in which pods that run are asked for is over when the test says so, and no sooner. */
class SettlingClock implements Clock {
  readonly settleMs = 87_654;
  #aheadMs = 0;
  #end = (): void => {};

  now(): number {
    return Date.now() + this.#aheadMs;
  }

  async sleep(ms: number, until: AbortSignal): Promise<void> {
    if (ms !== this.settleMs) return await systemClock.sleep(ms, until);
    const ended = new Promise<void>((resolve) => (this.#end = resolve));
    await orAbort(ended, until);
  }

  settle(): void {
    this.#aheadMs += this.settleMs;
    this.#end();
  }
}

describe('the checkpoint', () => {
  test('that is corrupt, and its copy too, is set aside and said; the manager starts without', async () => {
    await using world = await DeviceWorld.open();
    await mkdir(world.plugins, { recursive: true });
    await writeFile(world.checkpoint, '{"Data":{"PodDeviceEn');
    await writeFile(`${world.checkpoint}.copy`, '');
    await using manager = await world.manager({ settleMs: 0 });
    expect(manager.notes).toEqual([expect.stringMatching(/unreadable .*JSON.* is now .*corrupt-\d+/)]);
    const aside = (await readdir(world.plugins)).find((name) => name.includes('.corrupt-'));
    expect(await readFile(join(world.plugins, aside ?? ''), 'utf8')).toBe('{"Data":{"PodDeviceEn');
    expect(manager.checkpointMissing).toBe(false);
    await rawPlugin(world, 'p.sock', { devices: healthy('a') });
    await world.register(register);
    await ready(manager);
    await manager.allocate(pod('pod-1', container('main', 1)), signal);
  });

  test('that became corrupt: the copy tells who holds what, and no device is handed out twice', async () => {
    await using world = await DeviceWorld.open();
    const first = await world.manager();
    await rawPlugin(world, 'p.sock', { devices: healthy('a', 'b') });
    await world.register(register);
    await ready(first);
    await first.allocate(pod('pod-1', container('main', 1)), signal);
    await first[Symbol.asyncDispose]();
    await writeFile(world.checkpoint, '{"Data":{"PodDeviceEn');
    await using second = await world.manager();
    expect(second.notes).toEqual([expect.stringMatching(/unreadable .* its copy was read$/)]);
    await ready(second);
    expect(second.devicesOf('pod-1', 'main').map(({ id }) => id)).toEqual(['a']);
    await second.allocate(pod('pod-2', container('main', 1)), signal);
    expect(second.devicesOf('pod-2', 'main').map(({ id }) => id)).toEqual(['b']);
  });

  test('that is lost while pods run: nothing is handed out before they ended, and they do not start without', async () => {
    await using world = await DeviceWorld.open();
    await mkdir(world.plugins, { recursive: true });
    await writeFile(world.checkpoint, 'rubbish');
    const clock = new SettlingClock();
    await using manager = await world.manager({ settleMs: clock.settleMs }, clock);
    const told: string[] = [];
    using _listening = manager.subscribe(({ resource }) => told.push(resource));
    await rawPlugin(world, 'p.sock', { devices: healthy('a', 'b') });
    await world.register(register);
    await ready(manager);
    // One that comes before those that run were asked for.
    const late = pod('late', container('main', 1));
    expect(await manager.allocate(late, signal)).toMatchObject({
      kind: 'wait',
      reason: expect.stringContaining('being looked at') as string,
    });
    const runs = pod('runs', { ...container('main', 1), running: true });
    expect(await manager.allocate(runs, signal)).toEqual({ kind: 'allocated', ignored: [] });
    expect(manager.holders()).toEqual(['runs']);
    clock.settle();
    await eventually('the pods that wait to be woken', () => told.includes(''));
    expect(await manager.allocate(late, signal)).toMatchObject({
      kind: 'wait',
      resource: gpu,
      reason: expect.stringContaining('before these pods end: default/runs') as string,
    });
    expect(await manager.allocate(pod('other', container('main', 1, 'regular', 'example.com/none')), signal)).toEqual({
      kind: 'allocated',
      ignored: ['example.com/none'],
    });
    const again = await failureOf(manager.preStart(runs, 'main', signal));
    expect(again.failure).toEqual({ code: 'holders-unknown', resource: gpu });
    told.length = 0;
    await manager.release('runs', signal);
    expect(told).toEqual([gpu]);
    expect(await manager.allocate(late, signal)).toMatchObject({ kind: 'allocated' });
  });

  test('of a kubelet is taken over', async () => {
    await using world = await DeviceWorld.open();
    await mkdir(world.plugins, { recursive: true });
    const entry = {
      PodUID: 'pod-1',
      ContainerName: 'main',
      ResourceName: gpu,
      DeviceIDs: { '0': ['b'] },
      AllocResp: '',
    };
    const data = { PodDeviceEntries: [entry], RegisteredDevices: { [gpu]: ['a', 'b'] } };
    await writeFile(world.checkpoint, JSON.stringify({ Data: data, Checksum: checkpointChecksum(data) }));
    await using manager = await world.manager();
    expect(manager.notes).toEqual([expect.stringContaining('written by a kubelet')]);
    await rawPlugin(world, 'p.sock', { devices: healthy('a', 'b') });
    await world.register(register);
    await ready(manager);
    await manager.allocate(pod('pod-2', container('main', 1)), signal);
    expect(manager.devicesOf('pod-2', 'main').map((device) => device.id)).toEqual(['a']);
  });

  test('that cannot be written: nothing is granted', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    let asked = 0;
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a'),
      allocate: async () => {
        asked++;
        return await Promise.resolve({ containerResponses: [{}] });
      },
    });
    await world.register(register);
    await ready(manager);
    await eventually('the first checkpoint', async () => await stat(world.checkpoint).catch(() => undefined));
    // A full disk: nothing can be written into the folder.
    await hostProgram(['mount', '--bind', '-o', 'ro', world.plugins, world.plugins]);
    try {
      await hostProgram(['mount', '-o', 'remount,bind,ro', world.plugins]);
      const err = await failureOf(manager.allocate(pod('pod-1', container('main', 1)), signal));
      expect(err.failure).toEqual({ code: 'checkpoint', path: world.checkpoint });
      expect(asked).toBe(0);
      expect(statusOf(manager)?.inUse).toBe(0);
    } finally {
      await hostProgram(['umount', '--lazy', world.plugins]);
    }
    expect(await manager.allocate(pod('pod-1', container('main', 1)), signal)).toMatchObject({ kind: 'allocated' });
  });
});

test('a full filesystem under the checkpoint: nothing is granted, what was granted stays, and room is enough to go on', async () => {
  await using world = await DeviceWorld.open();
  await mkdir(world.plugins, { recursive: true });
  const image = join(world.root, 'disk');
  await hostProgram(['truncate', '-s', '2M', image]);
  await hostProgram(['mkfs.ext4', '-q', '-m', '0', image]);
  await hostProgram(['mount', '-o', 'loop', image, world.plugins]);
  try {
    await using manager = await world.manager();
    let answer = {};
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a', 'b'),
      allocate: async () => await Promise.resolve({ containerResponses: [answer] }),
    });
    await world.register(register);
    await ready(manager);
    await manager.allocate(pod('pod-1', container('main', 1)), signal);
    const entries = async (): Promise<unknown> => (await world.readCheckpoint()).Data['PodDeviceEntries'];
    const before = await entries();
    expect(before).toHaveLength(1);
    // More than the blocks hold that the file has already.
    answer = { envs: { LONG: 'x'.repeat(50_000) } };
    const ballast = join(world.plugins, 'ballast');
    await hostProgram(['dd', 'if=/dev/zero', `of=${ballast}`, 'bs=1k', 'status=none']).catch(() => {});
    const err = await failureOf(manager.allocate(pod('pod-2', container('main', 1)), signal));
    expect(err.failure).toEqual({ code: 'checkpoint', path: world.checkpoint });
    expect(err.message).toContain('ENOSPC');
    expect(statusOf(manager)?.inUse).toBe(1);
    expect(await entries()).toEqual(before);
    // The copy is tried in the background.
    const tidy = async (): Promise<boolean> => (await readdir(world.plugins)).every((name) => !name.includes('.tmp-'));
    await eventually('nothing half written', tidy);
    await rm(ballast);
    // A filesystem may take a moment to give room back.
    const again = async (): Promise<boolean> =>
      (await manager.allocate(pod('pod-2', container('main', 1)), signal).catch(() => undefined))?.kind === 'allocated';
    await eventually('room to go on', again);
    expect(await entries()).toHaveLength(2);
  } finally {
    await hostProgram(['umount', '--lazy', world.plugins]);
  }
});
