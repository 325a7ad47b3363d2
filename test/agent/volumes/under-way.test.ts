import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Pod } from '../../../agent/api/index.js';
import { BuiltExample } from '../../csi/build-example.js';
import { LeakCheck } from '../../support/leak-check.js';
import { CsiVolumeWorld, name, podUsing } from './csi/csi-volume-world.js';
import { FlexWorld } from './flex-volume/flex-world.js';
import { failureOf, podOf, uidOf, type VolumeWorld } from './volume-world.js';

let example: BuiltExample;
beforeAll(async () => {
  example = await BuiltExample.build();
});
afterAll(async () => await example[Symbol.asyncDispose]());

const soon = { timeout: 60_000 };
const patienceMs = 200;

/** Each attempt joins the call that goes on, until what is said of it is all there. */
async function untilTold(attempt: () => Promise<void>, words: RegExp): Promise<void> {
  await vi.waitFor(async () => expect((await failureOf(attempt())).message).toMatch(words), soon);
}

const wakeOf = async (volumes: VolumeWorld, pod: Pod): Promise<void> =>
  await new Promise((resolve) => {
    const heard = volumes.manager.onChange((uid) => {
      if (uid !== uidOf(pod)) return;
      heard[Symbol.dispose]();
      resolve();
    });
  });

/** Its mount waits for a file and says so. */
const waiting = (log: string, go: string): string => `#!/bin/sh
echo "$1" >>${log}
case "$1" in
  init) echo '{"status":"Success","capabilities":{"attach":false}}' ;;
  mount)
    echo 'no path to the array yet' >&2
    until [ -e ${go} ]; do sleep 0.05; done
    mount -t tmpfs slow "$2" && echo '{"status":"Success"}' ;;
  *) echo '{"status":"Not supported"}'; exit 1 ;;
esac
`;

test('a FlexVolume driver that takes its time: the pod says so with its words, its other volumes go on, and its end wakes the pod', async () => {
  await using world = await FlexWorld.open(undefined, undefined, { patienceMs });
  const { volumes } = world;
  const log = join(world.drivers, 'calls');
  await world.install('slow', waiting(log, join(world.drivers, 'go')));
  volumes.objects.configMap('words', { said: 'before' });
  const pod = podOf({
    volumes: [
      { name: 'words', configMap: { name: 'words' } },
      { name: 'flex', flexVolume: { driver: 'example.com/slow' } },
    ],
  });
  await untilTold(
    () => volumes.mount(pod),
    /^MountVolume.SetUp failed for volume "flex" : flexvolume: mount of flex at FlexVolume driver example.com\/slow was begun at 20\S+Z and has not ended; it says: no path to the array yet$/,
  );
  const said = join(volumes.folder(pod), 'volumes/kubernetes.io~configmap/words/said');
  expect(await readFile(said, 'utf8')).toBe('before');
  volumes.objects.configMap('words', { said: 'after' });
  await vi.waitFor(async () => {
    await failureOf(volumes.mount(pod));
    expect(await readFile(said, 'utf8')).toBe('after');
  }, soon);
  expect(volumes.manager.isMounted(pod)).toBe(false);

  const woken = wakeOf(volumes, pod);
  await writeFile(join(world.drivers, 'go'), '');
  await woken;
  await vi.waitFor(() => volumes.mount(pod), soon);
  expect(volumes.manager.isMounted(pod)).toBe(true);
  expect((await readFile(log, 'utf8')).trim().split('\n')).toEqual(['init', 'mount']);
  expect(await volumes.mounts()).toHaveLength(1);
});

test('a pod that goes while its driver hangs takes the call with it', async () => {
  await using world = await FlexWorld.open(undefined, undefined, { patienceMs });
  await using _leaks = await LeakCheck.open({ kinds: ['process'], tokens: [world.drivers] });
  const { volumes } = world;
  await world.install('slow', waiting(join(world.drivers, 'calls'), join(world.drivers, 'never')));
  const pod = podOf({ volumes: [{ name: 'flex', flexVolume: { driver: 'example.com/slow' } }] });
  await untilTold(() => volumes.mount(pod), /no path to the array yet$/);
  await vi.waitFor(() => volumes.unmount(pod), soon);
  expect(await readdir(volumes.folder(pod))).toEqual([]);
  expect(volumes.manager.isPresent(uidOf(pod))).toBe(false);
});

test('a CSI call under way: which, of which volume, the attempt, what the last one said; also at the end of the pod', async () => {
  const callTimeoutMs = 4000;
  await using world = await CsiVolumeWorld.open(example, [], {}, { patienceMs, callTimeoutMs });
  const { volumes } = world;
  const mount = (): Promise<void> => volumes.mount(pod);
  const unmount = (): Promise<void> => volumes.unmount(pod);
  world.claim('mine');
  const pod = podUsing('mine');
  await world.driver.break({
    NodeStageVolume: { action: 'fail', when: 'before', code: 14, message: 'the array restarts', times: 1 },
  });
  await untilTold(mount, /the array restarts/);
  await world.driver.break({ NodeStageVolume: { action: 'hang', when: 'before', times: 1 } });
  const began = `at CSI driver ${name} was begun at 20\\S+Z and has not ended`;
  await untilTold(
    mount,
    new RegExp(
      `^MountVolume.MountDevice failed for volume "data" : kubernetes.io/csi: NodeStageVolume of pvc-uid-of-mine ${began} \\(attempt 2\\); last answer: .*the array restarts$`,
    ),
  );
  // The call has its deadline, whose words are told; then it is made again.
  await untilTold(mount, /NodeStageVolume.*deadline-exceeded/);
  await vi.waitFor(mount, soon);

  await world.driver.break({ NodeUnpublishVolume: { action: 'hang', when: 'before', times: 1 } });
  await untilTold(
    unmount,
    new RegExp(
      `^UnmountVolume.TearDown failed for volume "data" : agent: NodeUnpublishVolume of pvc-uid-of-mine ${began}$`,
    ),
  );
  await vi.waitFor(unmount, soon);
  expect(await volumes.mounts()).toEqual([]);
});

test('a driver that hangs while it makes a volume holds up nobody else: not another claim, not the end of another pod', async () => {
  await using world = await CsiVolumeWorld.open(example, [], {}, { patienceMs });
  const { volumes } = world;
  for (const claim of ['first', 'slow', 'second']) world.claim(claim);
  const first = podUsing('first');
  await vi.waitFor(() => volumes.mount(first), soon);
  await volumes.manager.removeUnused(volumes.signal);
  await world.driver.break({ CreateVolume: { action: 'hang', when: 'before', times: 1 } });
  const slow = podUsing('slow');
  await untilTold(
    () => volumes.mount(slow),
    new RegExp(
      `^MountVolume.FindPluginBySpec failed for volume "data" : agent: CreateVolume of pvc-uid-of-slow at CSI driver ${name} was begun at 20\\S+Z and has not ended$`,
    ),
  );
  // The fault was for one call: with the volume that is being made nobody else has to do.
  const second = podUsing('second');
  await vi.waitFor(() => volumes.mount(second), soon);
  volumes.objects.remove('PersistentVolumeClaim', 'default', 'first');
  await vi.waitFor(() => volumes.unmount(first), soon);
  await vi.waitFor(() => expect(world.csi.verbs()).toContain('DeleteVolume'), soon);
  await vi.waitFor(() => volumes.unmount(second), soon);
  await vi.waitFor(() => volumes.unmount(slow), soon);
  // It was given up and nobody knows what came of it: the next pod of the claim asks for the same volume.
  const again = podUsing('slow');
  await vi.waitFor(() => volumes.mount(again), soon);
  expect(world.csi.verbs().filter((verb) => verb === 'CreateVolume')).toHaveLength(4);
  await vi.waitFor(() => volumes.unmount(again), soon);
});
