import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AgentWorld, sampleImage } from '../agent-world.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { untilAsync } from '../../support/until-async.js';

interface Mount {
  readonly path: string;
  readonly propagation: string;
  readonly privileged?: boolean;
}

const podOn = (name: string, { path, propagation, privileged = false }: Mount): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: ${sampleImage}
      imagePullPolicy: IfNotPresent
      command: [sleep, "1000000"]
      securityContext: { privileged: ${privileged} }
      volumeMounts:
        - { name: place, mountPath: /place, mountPropagation: ${propagation} }
        - { name: own, mountPath: /own${privileged ? ', mountPropagation: Bidirectional' : ''} }
  volumes:
    - { name: place, hostPath: { path: ${path} } }
    - { name: own, emptyDir: {} }
`;

/** As a CSI driver in a pod does it, where the machine's own mounts are private. */
test('a mount made in a container reaches the host and who asks for it, and nobody else', async () => {
  await using world = await AgentWorld.open((config) => ({
    ...config,
    paths: { ...config.paths, shareRootDir: true },
  }));
  const { rootDir } = world.config.paths;
  const place = join(rootDir, 'plugins/example.com');
  const apart = join(world.dir, 'apart');
  const slave = join(world.dir, 'slave');
  try {
    for (const folder of [apart, slave]) await mkdir(folder);
    await using run = await world.start();
    await run.untilStarted();
    await mkdir(place);
    await hostProgram(['mount', '--bind', place, slave]);
    await hostProgram(['mount', '--make-slave', slave]);
    const driver = podOn('driver', { path: place, propagation: 'Bidirectional', privileged: true });
    await run.apply(
      [
        driver,
        podOn('listener', { path: place, propagation: 'HostToContainer' }),
        podOn('deaf', { path: place, propagation: 'None' }),
        podOn('second', { path: slave, propagation: 'HostToContainer' }),
        podOn('stuck', { path: apart, propagation: 'Bidirectional', privileged: true }),
        podOn('cut-off', { path: apart, propagation: 'HostToContainer' }),
        podOn('one-way', { path: slave, propagation: 'Bidirectional', privileged: true }),
      ].join('---'),
    );
    for (const name of ['driver', 'listener', 'deaf', 'second']) await run.untilReady(name);
    const seenBy = async (name: string, folder: string): Promise<string> =>
      await run.sh(name, 'main', `cat /place/${folder}/f 2>/dev/null || echo nothing`);

    await run.sh('driver', 'main', 'mkdir /place/a && mount -t tmpfs berth-test /place/a && echo inner > /place/a/f');
    expect(await readFile(join(place, 'a/f'), 'utf8')).toBe('inner\n');
    expect(await seenBy('listener', 'a')).toBe('inner');
    expect(await seenBy('second', 'a')).toBe('inner');
    expect(await seenBy('deaf', 'a')).toBe('nothing');

    await mkdir(join(place, 'b'));
    await hostProgram(['mount', '-t', 'tmpfs', 'berth-test', join(place, 'b')]);
    await writeFile(join(place, 'b/f'), 'outer');
    expect(await seenBy('driver', 'b')).toBe('outer');
    expect(await seenBy('listener', 'b')).toBe('outer');
    expect(await seenBy('deaf', 'b')).toBe('nothing');
    for (const name of ['a', 'b']) await hostProgram(['umount', join(place, name)]);
    expect(await seenBy('listener', 'b')).toBe('nothing');

    // What nobody would see is not begun, and the pod says what would make it so.
    const refusals = [
      ['stuck', 'Bidirectional', `path "${apart}" is mounted on "/" but it is not a shared mount`],
      ['cut-off', 'HostToContainer', `path "${apart}" is mounted on "/" but it is not a shared or slave mount`],
      ['one-way', 'Bidirectional', `path "${slave}" is mounted on "${slave}" but it is not a shared mount`],
    ] as const;
    for (const [name, propagation, words] of refusals) {
      const { waits, ready } = await run.untilPod(name, 'says why', (pod) =>
        /slave mount|shared mount/.test(pod.waits.join(' ')),
      );
      expect(waits.join(' ')).toContain(`mountPropagation ${propagation}: ${words}; mount --make-rshared /`);
      expect(ready).toBe(false);
    }
    // It goes on by itself when that was done.
    await hostProgram(['mount', '--bind', apart, apart]);
    await hostProgram(['mount', '--make-rshared', apart]);
    for (const name of ['stuck', 'cut-off']) await run.untilReady(name);

    // A file of the user below a mount that a container made in its volume, and left: the mount goes, the file stays.
    const kept = join(apart, 'kept');
    await writeFile(kept, 'user data');
    await run.sh('driver', 'main', 'mkdir /own/x && mount -t tmpfs berth-test /own/x && echo y > /own/x/y');
    const uid = run.pod('driver').uid;
    const own = join(rootDir, 'pods', uid, 'volumes/kubernetes.io~empty-dir/own');
    expect(await readFile(join(own, 'x/y'), 'utf8')).toBe('y\n');
    await mkdir(join(own, 'bound'));
    await hostProgram(['mount', '--bind', apart, join(own, 'bound')]);
    for (const { name } of [...run.pods.values()]) await run.delete(name, 0);
    await run.untilGone();
    expect(await readFile(kept, 'utf8')).toBe('user data');
    const places = [rootDir, apart, slave];
    const left = async (): Promise<string[]> =>
      (await world.leftovers()).filter((line) => !places.some((folder) => line.endsWith(folder)));
    await untilAsync('nothing is left', async () => (await left()).length === 0, { tell: left });
  } finally {
    for (const folder of [slave, apart, rootDir]) await tryHostProgram(['umount', folder]);
  }
});
