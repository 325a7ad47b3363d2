import { copyFile, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { runProgram, type RunProgram } from '../../../../base/run-program.js';
import type { FlexVolumeSource } from '../../../../agent/api/index.js';
import { loopsUnder } from '../../../csi/csi-world.js';
import { hostProgram, tryHostProgram } from '../../../support/host-program.js';
import { FlexWorld, withoutJq } from './flex-world.js';
import { failureOf, podOf, uidOf } from '../volume-world.js';

const podWith = (flexVolume: FlexVolumeSource, fsGroup?: number) =>
  podOf({
    volumes: [{ name: 'flex', flexVolume }],
    pod: fsGroup === undefined ? {} : { securityContext: { fsGroup } },
  });

test.skipIf(withoutJq)('a driver without attach mounts and unmounts; the agent sets the group', async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  const pod = podWith({ driver: 'example.com/scratch', options: { size: '1m' } }, 3000);
  await volumes.mount(pod);
  const path = await volumes.hostPath(pod);
  expect(path).toBe(volumes.folder(pod, 'volumes/example.com~scratch/flex'));
  expect(await stat(path)).toMatchObject({ gid: 3000 });
  await writeFile(join(path, 'f'), '');
  await volumes.mount(pod);
  await volumes.restart();
  await volumes.mount(pod);
  expect(await readdir(path)).toEqual(['f']);
  expect(await volumes.mounts()).toHaveLength(1);
  await volumes.restart();
  await volumes.unmount(pod);
  expect(await readdir(volumes.folder(pod))).toEqual([]);
});

test.skipIf(withoutJq)('attach and mountdevice happen once for two pods, and are undone after the last', async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  const image = join(world.drivers, 'disk.img');
  const source = { driver: 'example.com/loopback', options: { image, create: '16m' } };
  const pods = [podWith(source), podWith(source)];
  for (const pod of pods) await volumes.mount(pod);
  expect(volumes.manager.volumesInUse).toEqual(['example.com/loopback/flex']);
  await writeFile(join(await volumes.hostPath(pods[0]!), 'f'), 'shared');
  expect(await readFile(join(await volumes.hostPath(pods[1]!), 'f'), 'utf8')).toBe('shared');
  await volumes.restart();
  expect(volumes.manager.volumesInUse).toEqual(['example.com/loopback/flex']);
  await volumes.unmount(pods[0]!);
  expect(await loopsUnder(world.drivers)).toHaveLength(1);
  await volumes.unmount(pods[1]!);
  expect(await loopsUnder(world.drivers)).toEqual([]);
  expect(volumes.manager.volumesInUse).toEqual([]);
});

test.skipIf(withoutJq)('what was attached by a run that died before it mounted is detached', async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  const image = join(world.drivers, 'disk.img');
  const pod = podWith({ driver: 'example.com/loopback', options: { image, create: '16m' } });
  await volumes.mount(pod);
  // As if the agent had died between mountdevice and the making of the pod's folder.
  await tryHostProgram(['umount', volumes.folder(pod, 'volumes/example.com~loopback/flex')]);
  await rm(volumes.folder(pod, 'volumes'), { recursive: true });
  await volumes.restart();
  expect(volumes.manager.volumesInUse).toEqual(['example.com/loopback/flex']);
  await volumes.manager.removeUnused(volumes.signal);
  expect(await loopsUnder(world.drivers)).toEqual([]);
});

test.skipIf(withoutJq)("the driver's words, a driver that is missing, a driver that went", async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  const bad = podWith({ driver: 'example.com/scratch', options: { medium: 'stone' } });
  expect((await failureOf(volumes.mount(bad))).message).toMatch(
    /^MountVolume.SetUp failed for volume "flex" : flexvolume: .*unknown medium stone/,
  );
  await volumes.unmount(bad);
  const absent = podWith({ driver: 'example.com/absent' });
  expect((await failureOf(volumes.mount(absent))).message).toContain('does not exist');
  await volumes.unmount(absent);

  const pod = podWith({ driver: 'example.com/scratch' });
  await volumes.mount(pod);
  const program = join(world.drivers, 'exec/example.com~scratch/scratch');
  await copyFile(program, join(world.drivers, 'saved'));
  await rm(program);
  expect((await failureOf(volumes.unmount(pod))).message).toContain('does not exist');
  expect(volumes.manager.isPresent(uidOf(pod))).toBe(true);
  expect(await volumes.mounts()).toHaveLength(1);
  await copyFile(join(world.drivers, 'saved'), program);
  await volumes.unmount(pod);
});

test.skipIf(withoutJq)(
  "a volume of a claim grows with its PersistentVolume, and keeps the size in the agent's records",
  async () => {
    await using world = await FlexWorld.open();
    const { volumes } = world;
    const put = (storage: string): void =>
      volumes.objects.put('PersistentVolume', {
        metadata: { name: 'disk' },
        spec: {
          accessModes: ['ReadWriteOnce'],
          capacity: { storage },
          flexVolume: { driver: 'example.com/scratch', options: { size: '16m' } },
        },
      });
    put('16Mi');
    volumes.objects.put('PersistentVolumeClaim', {
      metadata: { name: 'mine', namespace: 'default', uid: 'c' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '16Mi' } } },
    });
    const pod = podOf({ volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'mine' } }] });
    await volumes.mount(pod);
    const size = async (): Promise<number> => {
      const { blocks, bsize } = await statfs(await volumes.hostPath(pod));
      return blocks * bsize;
    };
    const before = await size();
    const woken: string[] = [];
    using _ = volumes.manager.onChange((uid) => woken.push(uid));
    put('48Mi');
    expect(woken).toEqual([uidOf(pod)]);
    await volumes.mount(pod);
    expect(volumes.events).toEqual([expect.stringContaining('Normal FileSystemResizeSuccessful')]);
    expect(await size()).toBeGreaterThan(2 * before);
    await volumes.restart();
    await volumes.mount(pod);
    expect(volumes.events).toHaveLength(1);
    await volumes.unmount(pod);
  },
);

test.skipIf(withoutJq)('in a cluster where the agent is to attach, it asks the driver itself', async () => {
  await using world = await FlexWorld.open(runProgram, false, { attachesHere: true });
  const { volumes } = world;
  const pod = podWith({
    driver: 'example.com/loopback',
    options: { image: join(world.drivers, 'disk.img'), create: '16m' },
  });
  await volumes.mount(pod);
  expect(await loopsUnder(world.drivers)).toHaveLength(1);
  expect(volumes.events).toEqual(['Normal SuccessfulAttachVolume AttachVolume.Attach succeeded for volume "flex"']);
  await volumes.unmount(pod);
  expect(await loopsUnder(world.drivers)).toEqual([]);

  const other = podWith({ driver: 'example.com/loopback', options: { image: join(world.drivers, 'none.img') } });
  const error = await failureOf(volumes.mount(other));
  expect(error.message).toMatch(/^AttachVolume.Attach failed for volume "flex" : flexvolume: /);
  expect(error).toMatchObject({ reason: 'FailedAttachVolume' });
  await volumes.unmount(other);
});

test.skipIf(withoutJq)('in a cluster, its controller attaches and detaches: a pod waits for that', async () => {
  await using world = await FlexWorld.open(runProgram, false);
  const { volumes } = world;
  const image = join(world.drivers, 'disk.img');
  const pod = podWith({ driver: 'example.com/loopback', options: { image, create: '16m' } });
  volumes.objects.put('Node', { metadata: { name: 'here' } });
  expect((await failureOf(volumes.mount(pod))).message).toMatch(
    /^MountVolume.WaitForAttach failed for volume "flex" : flexvolume: the cluster has not attached volume example.com\/loopback\/flex to node here yet/,
  );
  // It was not asked to: another node may still have the volume.
  expect(await loopsUnder(world.drivers)).toEqual([]);
  expect(volumes.manager.volumesInUse).toEqual(['example.com/loopback/flex']);
  const woken: string[] = [];
  using _ = volumes.manager.onChange((uid) => woken.push(uid));
  await hostProgram(['truncate', '-s', '16M', image]);
  const devicePath = (await hostProgram(['losetup', '--find', '--show', image])).trim();
  try {
    volumes.objects.put('Node', {
      metadata: { name: 'here' },
      status: { volumesAttached: [{ name: 'example.com/loopback/flex', devicePath }] },
    });
    await vi.waitUntil(() => woken.includes(uidOf(pod)), { timeout: 60_000 });
    await volumes.mount(pod);
    expect(await volumes.mounts()).toContainEqual(expect.stringContaining(devicePath));
    await volumes.unmount(pod);
    expect(await volumes.mounts()).toEqual([]);
    expect(await loopsUnder(world.drivers)).toHaveLength(1);
    expect(volumes.manager.volumesInUse).toEqual([]);
  } finally {
    await hostProgram(['losetup', '--detach', devicePath]);
  }
});

test.skipIf(withoutJq)('a secret of another type is refused', async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  volumes.objects.secret('login', { user: 'me' }, { type: 'Opaque' });
  const pod = podWith({ driver: 'example.com/scratch', secretRef: { name: 'login' } });
  expect((await failureOf(volumes.mount(pod))).message).toContain('secret "login" is not of type example.com/scratch');
  volumes.objects.secret('login', { user: 'me' }, { type: 'example.com/scratch' });
  await volumes.mount(pod);
});

/** Every program that is started may be the last thing the agent did: before it ran, or after, its answer unread. */
class DyingAgent {
  calls = 0;
  #last = Number.POSITIVE_INFINITY;
  #when: 'before' | 'after' = 'before';

  dieAt(call: number, when: 'before' | 'after'): void {
    this.calls = 0;
    this.#last = call;
    this.#when = when;
  }

  live(): void {
    this.dieAt(Number.POSITIVE_INFINITY, 'before');
  }

  readonly run: RunProgram = async (options, signal) => {
    const call = ++this.calls;
    if (call > this.#last || (call === this.#last && this.#when === 'before')) throw new Error('the agent is dead');
    const result = await runProgram(options, signal);
    if (call === this.#last) throw new Error('the agent is dead');
    return result;
  };
}

test.skipIf(withoutJq)(
  'killed before or after any program it starts, the agent finds its way and leaves nothing',
  async () => {
    const agent = new DyingAgent();
    await using world = await FlexWorld.open(agent.run);
    const { volumes } = world;
    volumes.objects.secret('keys', { a: '1' });
    const image = join(world.drivers, 'disk.img');
    const pod = () =>
      podOf({
        volumes: [
          { name: 'flex', flexVolume: { driver: 'example.com/loopback', options: { image, create: '8m' } } },
          { name: 'keys', secret: { secretName: 'keys' } },
          { name: 'scratch', emptyDir: { medium: 'Memory' } },
        ],
        container: {
          volumeMounts: [
            { name: 'flex', mountPath: '/f', subPath: 'sub' },
            { name: 'keys', mountPath: '/k', subPath: 'a' },
            { name: 'scratch', mountPath: '/s' },
          ],
        },
      });
    const live = async (one: ReturnType<typeof pod>): Promise<void> => {
      await volumes.mount(one);
      await writeFile(join(await volumes.hostPath(one), 'f'), 'user data');
      await volumes.unmount(one);
    };
    agent.live();
    await live(pod());
    const total = agent.calls;
    expect(total).toBeGreaterThan(8);
    for (let call = 1; call <= total; call++) {
      for (const when of ['before', 'after'] as const) {
        const struck = pod();
        agent.dieAt(call, when);
        await live(struck).catch(() => {});
        agent.live();
        await volumes.restart();
        // Half of the time the pod goes on, else it is gone by then.
        if (call % 2 === 0) await volumes.mount(struck);
        await volumes.unmount(struck);
        await volumes.manager.removeUnused(volumes.signal);
        expect(await volumes.mounts(), `after call ${call} ${when}`).toEqual([]);
        expect(await loopsUnder(world.drivers), `after call ${call} ${when}`).toEqual([]);
        expect(await readdir(volumes.folder(struck)).catch(() => [])).toEqual([]);
      }
    }
  },
  300_000,
);
