import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorText } from '../../../base/errors.js';
import type { Pod } from '../../../agent/api/index.js';
import { withDefaults } from '../../../agent/config/kubelet/index.js';
import { AgentWorld, sampleImage } from '../agent-world.js';
import { BuiltExample } from '../../csi/build-example.js';
import { loopsUnder } from '../../csi/csi-world.js';
import { fillDisk } from '../../support/fill-disk.js';
import { hostProgram } from '../../support/host-program.js';
import { untilAsync } from '../../support/until-async.js';
import { CsiVolumeWorld, podUsing } from './csi/csi-volume-world.js';
import { FlexWorld, withoutJq } from './flex-volume/flex-world.js';
import { failureOf, podOf, VolumeWorld } from './volume-world.js';

let example: BuiltExample;
beforeAll(async () => {
  example = await BuiltExample.build();
});
afterAll(async () => await example[Symbol.asyncDispose]());

/** What the pod says: that the disk is full, and at which file. */
async function refusal(work: Promise<unknown>, file: string): Promise<string> {
  const words = errorText(await failureOf(work));
  expect(words).toMatch(/^(MountVolume|AttachVolume|MapVolume)\.\w+ failed for volume/);
  expect(words).toContain('ENOSPC: no space left on device');
  expect(words).toContain(file);
  return words;
}

const configured = (): Pod => podOf({ volumes: [{ name: 'config', configMap: { name: 'settings' } }] });

test('content that does not fit says which file, leaves the old whole, and comes when there is room', async () => {
  await using world = await VolumeWorld.open({ diskMegabytes: 4 });
  world.objects.configMap('settings', { 'app.conf': 'one' });
  const pod = configured();
  await world.mount(pod);
  const path = await world.hostPath(pod);
  const filler = await fillDisk(world.root);
  world.objects.configMap('settings', { 'app.conf': 'two'.repeat(40_000) });
  for (let attempt = 0; attempt < 2; attempt++) {
    await refusal(world.mount(pod), `${path}/..`);
    expect(await readFile(join(path, 'app.conf'), 'utf8')).toBe('one');
    // Nothing half written is kept: that would be what fills the disk.
    expect((await readdir(path)).filter((entry) => /^\.\.\d/.test(entry))).toHaveLength(1);
    await world.restart();
  }
  const other = configured();
  await refusal(world.mount(other), world.folder(other));
  await world.unmount(other);
  await rm(filler);
  await world.mount(pod);
  expect((await readFile(join(path, 'app.conf'), 'utf8')).length).toBe(120_000);
  await world.mount(other);
});

test('a claim is bound when that is on disk, and not before', async () => {
  await using world = await VolumeWorld.open({ diskMegabytes: 4 });
  const disk = join(world.root, 'disk');
  world.objects.put('PersistentVolume', {
    metadata: { name: 'disk' },
    spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, local: { path: disk } },
  });
  for (const name of ['mine', 'theirs'])
    world.objects.put('PersistentVolumeClaim', {
      metadata: { name, namespace: 'default', uid: name },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });
  const filler = await fillDisk(world.root);
  for (let attempt = 0; attempt < 2; attempt++) {
    const words = errorText(await failureOf(world.mount(podUsing('mine'))));
    expect(words).toContain('error processing PVC default/mine');
    expect(words).toMatch(/ENOSPC: no space left on device.*volume_bindings/);
  }
  await rm(filler);
  await world.restart();
  // Nobody has it: who comes first now does.
  expect(errorText(await failureOf(world.mount(podUsing('theirs'))))).toContain('path');
  expect(errorText(await failureOf(world.mount(podUsing('mine'))))).toContain('is not bound');
});

test('CSI: records that do not fit hold new pods, and nothing of the old ones is lost', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach'], {}, { diskMegabytes: 8 });
  const { volumes } = world;
  for (const claim of ['mine', 'next']) world.claim(claim);
  const [pod, waiting] = [podUsing('mine'), podUsing('next')];
  await volumes.mount(pod);
  // Bound and made already, so that it is the record of the volume that does not fit.
  await world.driver.break({ ControllerPublishVolume: { action: 'fail', when: 'before', code: 14, times: 1 } });
  await failureOf(volumes.mount(waiting));
  await volumes.unmount(waiting);
  const path = await volumes.hostPath(pod);
  await writeFile(join(path, 'f'), 'user data');
  const filler = await fillDisk(volumes.root);
  world.csi.calls.length = 0;
  for (let attempt = 0; attempt < 2; attempt++) {
    await refusal(volumes.mount(waiting), volumes.root);
    // What could not be undone after a crash is not begun.
    expect(world.csi.verbs().filter((verb) => /Publish|Stage/.test(verb))).toEqual([]);
    expect(await readFile(join(path, 'f'), 'utf8')).toBe('user data');
    await volumes.restart();
    await volumes.mount(pod).catch(() => {});
    world.csi.calls.length = 0;
  }
  const record = JSON.parse(await readFile(join(path, '../vol_data.json'), 'utf8')) as object;
  expect(record).toMatchObject({ driverName: world.driver.name });
  // A pod can go all the same.
  await volumes.unmount(waiting);
  const leaving = podUsing('mine');
  await failureOf(volumes.mount(leaving));
  await volumes.unmount(leaving);
  await volumes.unmount(pod);
  expect(await volumes.mounts()).toEqual([]);
  await rm(filler);
  for (const one of [pod, waiting]) await volumes.mount(one);
  expect(await readFile(join(await volumes.hostPath(pod), 'f'), 'utf8')).toBe('user data');
});

test.skipIf(withoutJq)('FlexVolume: no room for the folders holds new pods, and old ones go and come', async () => {
  await using world = await FlexWorld.open(undefined, true, { diskMegabytes: 4 });
  const { volumes } = world;
  const podOn = (image: string): Pod =>
    podOf({
      volumes: [
        {
          name: `flex-${image}`,
          flexVolume: { driver: 'example.com/loopback', options: { image: join(world.drivers, image), create: '16m' } },
        },
      ],
    });
  const [pod, waiting] = [podOn('a'), podOn('b')];
  await volumes.mount(pod);
  await writeFile(join(await volumes.hostPath(pod), 'f'), 'user data');
  const filler = await fillDisk(volumes.root);
  for (let attempt = 0; attempt < 2; attempt++) {
    await refusal(volumes.mount(waiting), volumes.root);
    expect(await loopsUnder(world.drivers)).toHaveLength(1);
    await volumes.restart();
    await volumes.mount(pod);
  }
  await volumes.unmount(waiting);
  await volumes.unmount(pod);
  expect(await loopsUnder(world.drivers)).toEqual([]);
  await rm(filler);
  for (const one of [pod, waiting]) await volumes.mount(one);
  expect(await readFile(join(await volumes.hostPath(pod), 'f'), 'utf8')).toBe('user data');
});

test('a pod of a whole agent says which file did not fit, and starts when there is room', async () => {
  // An agent that is let would turn the pod away instead.
  const kubelet = { ...withDefaults({}), evictionHard: {} };
  await using world = await AgentWorld.open((config) => ({ ...config, kubelet }));
  const { rootDir } = world.config.paths;
  await mkdir(rootDir);
  await hostProgram(['mount', '-t', 'tmpfs', '-o', 'size=4m,mode=0750', 'small', rootDir]);
  await using run = await world.start();
  await run.untilStarted();
  const filler = await fillDisk(rootDir);
  await run.apply(`
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { app.conf: one }
---
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: ${sampleImage}
      imagePullPolicy: IfNotPresent
      command: [sleep, "1000000"]
      volumeMounts: [{ name: config, mountPath: /config }]
  volumes: [{ name: config, configMap: { name: settings } }]
`);
  const { waits, uid } = await run.untilPod('web', 'tells of the disk', (pod) => /ENOSPC/.test(pod.waits.join(' ')));
  const words = waits.join(' ');
  expect(words).toContain('MountVolume.SetUp failed for volume "config"');
  expect(words).toContain(join(rootDir, 'pods', uid, 'volumes/kubernetes.io~configmap/config'));
  await rm(filler);
  await run.untilReady('web');
  expect(await run.sh('web', 'main', 'cat /config/app.conf')).toBe('one');
  await run.delete('web', 0);
  await run.untilGone();
  const left = async (): Promise<string[]> => (await world.leftovers()).filter((line) => line !== `mount ${rootDir}`);
  await untilAsync('nothing is left', async () => (await left()).length === 0, { tell: left });
});
