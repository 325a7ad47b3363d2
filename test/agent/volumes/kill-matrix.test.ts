import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { programSucceeded } from '../../../base/run-program.js';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld, sampleImage } from '../agent-world.js';
import { loopsUnder } from '../../csi/csi-world.js';
import { ExampleDriver } from '../../csi/example-driver.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { untilAsync } from '../../support/until-async.js';

const distRoot = process.env['BERTH_TEST_DIST'] ?? fileURLToPath(new URL('../../../dist', import.meta.url));
const examples = fileURLToPath(new URL('../../../csi/flexvolume/examples/', import.meta.url));
const withoutJq = process.env['CI'] !== 'true' && !programSucceeded(await tryHostProgram(['jq', '--version']));
if (withoutJq) process.stderr.write('SKIPPED: the example FlexVolume drivers need jq\n');

const group = 3000;
/** For what takes seconds on a machine that has nothing else to do. */
const patienceMs = 90_000;
const manifest = (index: number): string => `
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  terminationGracePeriodSeconds: 0
  securityContext: { fsGroup: ${group} }
  containers:
    - name: main
      image: ${sampleImage}
      imagePullPolicy: IfNotPresent
      command: [sleep, "1000000"]
      volumeMounts: [{ name: data, mountPath: /data }]
  volumes:
    - name: data
      persistentVolumeClaim: { claimName: mine-${index} }
`;

const smallMebibytes = 16;
const claim = (index: number, storageClass: string, mebibytes: number): string => `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: mine-${index} }
spec:
  storageClassName: ${storageClass}
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: ${mebibytes}Mi } }
---
`;

/** One kind of driver with volumes that outlive their pods, by number. */
interface Storage extends AsyncDisposable {
  /** The claim `mine-<index>` and what it stands on. */
  objects(index: number, mebibytes: number): string;
  /** What the driver itself has of the user's file. */
  userFile(index: number): Promise<string>;
  /** What it still holds of this machine. */
  held(): Promise<string[]>;
}

/**
 * attach and mountdevice of the loopback example, with a mount of its own on top, so that every verb is called. Its device grows, and the file system
 * on it does not, for which not every machine gives its root the right.
 */
async function openFlex(world: AgentWorld): Promise<Storage> {
  const state = join(world.dir, 'loopback');
  const image = (index: number): string => join(world.dir, `disk-${index}.img`);
  const staged = join(world.config.paths.rootDir, 'plugins/kubernetes.io/flexvolume/example.com/looped/mounts');
  const folder = join(world.config.paths.volumePluginDir, 'example.com~looped');
  await mkdir(folder, { recursive: true });
  await copyFile(join(examples, 'example.com~loopback/loopback'), join(world.dir, 'loopback-driver'));
  const driver = `#!/bin/sh
export BERTH_LOOPBACK_STATE=${state}
success() { echo '{"status":"Success"}'; exit 0; }
case "$1" in
  mount) mountpoint -q "$2" || mount --bind "${staged}/$(echo "$3" | jq -r '."kubernetes.io/pvOrVolumeName"')" "$2" || exit 1; success ;;
  unmount) ! mountpoint -q "$2" || umount "$2" || exit 1; success ;;
  expandfs) losetup -c "$3" || exit 1; success ;;
  *) exec sh ${world.dir}/loopback-driver "$@" ;;
esac
`;
  await writeFile(join(folder, 'looped'), driver, { mode: 0o755 });
  return {
    objects: (index, mebibytes) => `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: looped }
provisioner: kubernetes.io/no-provisioner
allowVolumeExpansion: true
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: data-${index} }
spec:
  storageClassName: looped
  accessModes: [ReadWriteOnce]
  capacity: { storage: ${smallMebibytes}Mi }
  flexVolume: { driver: example.com/looped, options: { image: ${image(index)}, create: ${smallMebibytes}m } }
---
${claim(index, 'looped', mebibytes)}`,
    userFile: (index) => fileInImage(image(index), world.dir),
    held: () => loopsUnder(world.dir),
    [Symbol.asyncDispose]: async () => {
      for (const loop of await loopsUnder(world.dir)) await tryHostProgram(['losetup', '-d', loop.split(' ')[0] ?? '']);
    },
  };
}

/** The example driver with its controller service: create, attach, stage, publish. */
async function openCsi(world: AgentWorld): Promise<Storage> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-driver-'));
  const registry = join(world.config.paths.rootDir, 'plugins_registry');
  await mkdir(registry, { recursive: true });
  const name = 'folder.csi.example.com';
  const main = join(distRoot, 'csi/driver/examples/main.js');
  const driver = new ExampleDriver({ main, name, nodeId: 'test-node', folder, registry, flags: ['--attach'] });
  await driver.start();
  return {
    objects: (index, mebibytes) => `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: folder }
provisioner: ${name}
allowVolumeExpansion: true
parameters: { kind: image }
---
${claim(index, 'folder', mebibytes)}`,
    userFile: async (index) => {
      const volumes = join(folder, 'volumes');
      for (const id of await readdir(volumes)) {
        const { name: made } = JSON.parse(await readFile(join(volumes, id, 'volume.json'), 'utf8')) as { name: string };
        if (made === `pvc-default-mine-${index}`) return await fileInImage(join(volumes, id, 'disk.img'), world.dir);
      }
      throw new Error(`the driver has no volume of claim mine-${index}`);
    },
    held: () => loopsUnder(folder),
    [Symbol.asyncDispose]: async () => {
      await driver[Symbol.asyncDispose]();
      for (const loop of await loopsUnder(folder)) await tryHostProgram(['losetup', '-d', loop.split(' ')[0] ?? '']);
      await rm(folder, { recursive: true });
    },
  };
}

/** While nobody has it mounted. */
async function fileInImage(image: string, dir: string): Promise<string> {
  const at = join(dir, 'look');
  await mkdir(at, { recursive: true });
  await hostProgram(['mount', '-o', 'loop,ro,noload', image, at]);
  try {
    return await readFile(join(at, 'file'), 'utf8');
  } finally {
    await hostProgram(['umount', at]);
  }
}

/**
 * One death between every two deeds: what is "before" one is "after" the last, and dying there twice proves nothing. Calls that belong to no volume
 * come with every start, those for statistics when a minute is over.
 */
const isOfVolume = (point: string): boolean =>
  /^((after|amid) (csi|flexvolume|volume-)|volume-)/.test(point) &&
  !/init$|GetInfo|Capabilities|PluginInfo/.test(point);

const own = (points: readonly string[]): string[] => [...new Set(points.filter(isOfVolume))];

/** The agent's life in one world with one kind of driver. */
class Matrix {
  readonly #world: AgentWorld;
  readonly #storage: Storage;
  #index = 0;

  constructor(world: AgentWorld, storage: Storage) {
    this.#world = world;
    this.#storage = storage;
  }

  /** With a volume that was never used. */
  async wantPod(): Promise<void> {
    this.#index++;
    await this.#want(smallMebibytes);
  }

  /** With the volume it has, made larger. */
  async wantMore(): Promise<void> {
    await this.#want(2 * smallMebibytes);
  }

  async #want(mebibytes: number): Promise<void> {
    const objects = this.#storage.objects(this.#index, mebibytes);
    await this.#world.write('web.yaml', objects + manifest(this.#index));
  }

  async dropPod(): Promise<void> {
    await this.#world.remove('web.yaml');
  }

  /** A life without a crash tells which points there are. */
  async wholeLife(): Promise<{ starting: string[]; growing: string[]; stopping: string[] }> {
    await using run = await this.#world.start();
    await run.untilStarted();
    await this.wantPod();
    await run.untilReady('web', patienceMs);
    await run.sh('web', 'main', 'echo precious > /data/file');
    const started = run.points.length;
    await this.wantMore();
    await this.#untilGrown(run);
    const grown = run.points.length;
    await this.dropPod();
    await this.untilClean(run);
    const growing = own(run.points.slice(started, grown));
    return {
      starting: own(run.points.slice(0, started)),
      growing,
      stopping: own(run.points.slice(grown)).filter((point) => !growing.includes(point)),
    };
  }

  /** Growing a mounted ext4 needs CAP_SYS_RESOURCE, which not every machine gives its root: then the driver's words are the end of it. */
  async #untilGrown(run: AgentRun): Promise<void> {
    const ends = /^FileSystemResizeSuccessful|Permission denied to resize filesystem/;
    await run.until('the volume has grown', () => run.eventsOf('web').some((event) => ends.test(event)), patienceMs);
  }

  /** After all these deaths the volume grows to the end, and its user has noticed nothing. */
  async grows(): Promise<void> {
    await using run = await this.#world.start();
    await run.untilReady('web', patienceMs);
    await this.#untilGrown(run);
    expect(await run.sh('web', 'main', 'cat /data/file')).toBe('precious');
  }

  /** Runs an agent that must die at the point. */
  async dieAt(point: string): Promise<void> {
    const run = await this.#world.start(point);
    try {
      await Promise.race([run.ended, run.until(`the end at "${point}"`, () => false, patienceMs)]).catch(() => {});
      const told = `the last point of a run that should end at "${point}"\n${run.log.slice(-2000)}`;
      expect(run.points.at(-1), told).toBe(point);
    } finally {
      await run.kill();
    }
  }

  /** The pod runs, its container sees its file, and the kill of the agent that comes now changes nothing for it. */
  async runsOn(): Promise<void> {
    const run = await this.#world.start();
    await run.untilReady('web', patienceMs);
    expect(await run.sh('web', 'main', 'echo precious > /data/file && stat -c %g /data')).toBe(String(group));
    const before = run.container('web', 'main').containerID;
    await run.kill();
    await using again = await this.#world.start();
    await again.untilReady('web', patienceMs);
    expect(again.container('web', 'main').containerID).toBe(before);
    expect(await again.sh('web', 'main', 'cat /data/file && echo more > /data/other && rm /data/other')).toBe(
      'precious',
    );
  }

  async finish(what: string): Promise<void> {
    await using run = await this.#world.start();
    await run.untilStarted();
    await this.untilClean(run, what);
  }

  async untilClean(run: AgentRun, what = 'a whole life'): Promise<void> {
    await run.untilGone(patienceMs);
    const left = async (): Promise<string[]> => [
      ...(await this.#world.leftovers()).filter((line) => !line.includes('driver/examples')),
      ...(await this.#storage.held()),
    ];
    await untilAsync(`nothing is left of ${what}`, async () => (await left()).length === 0, {
      withinMs: 60_000,
      tell: left,
    });
  }

  async keeps(index: number): Promise<void> {
    expect(await this.#storage.userFile(index)).toBe('precious\n');
  }
}

/** The calls that change something, in the order of a volume's life. */
const kinds = [
  [
    'FlexVolume',
    openFlex,
    {
      starting: ['flexvolume attach', 'flexvolume waitforattach', 'flexvolume mountdevice', 'flexvolume mount'],
      growing: ['flexvolume expandvolume', 'flexvolume expandfs'],
      stopping: ['flexvolume unmount', 'flexvolume unmountdevice', 'flexvolume detach'],
    },
  ],
  [
    'CSI',
    openCsi,
    {
      starting: ['csi CreateVolume', 'csi ControllerPublishVolume', 'csi NodeStageVolume', 'csi NodePublishVolume'],
      growing: ['csi ControllerExpandVolume', 'csi NodeExpandVolume'],
      stopping: ['csi NodeUnpublishVolume', 'csi NodeUnstageVolume', 'csi ControllerUnpublishVolume'],
    },
  ],
] as const;

test.skipIf(withoutJq).concurrent.each(kinds)(
  '%s: killed between every two calls and records, the agent goes on where it was and leaves nothing',
  async (_, open, calls) => {
    await using world = await AgentWorld.open();
    await using storage = await open(world);
    const matrix = new Matrix(world, storage);
    const life = await matrix.wholeLife();
    const { starting, growing, stopping } = life;
    for (const part of ['starting', 'growing', 'stopping'] as const)
      expect(life[part].filter((point) => /^after (csi|flex)/.test(point) && !point.includes('Registration'))).toEqual(
        calls[part].map((call) => `after ${call}`),
      );
    for (const point of ['amid volume-ownership', 'after volume-ownership', 'volume-stage-recorded'])
      expect(starting).toContain(point);

    // One pod whose start, and then whose end, meets each death in turn.
    await matrix.wantPod();
    for (const point of starting) await matrix.dieAt(point);
    await matrix.runsOn();
    await matrix.wantMore();
    for (const point of growing) await matrix.dieAt(point);
    await matrix.grows();
    await matrix.dropPod();
    for (const point of stopping) await matrix.dieAt(point);
    await matrix.finish('one that died at every point');
    await matrix.keeps(2);

    // And pods that nobody wants any more when the agent is back: each run removes the last one before it starts the next of that name.
    for (const point of starting) {
      await matrix.wantPod();
      await matrix.dieAt(point);
    }
    await matrix.dropPod();
    await matrix.finish('pods that went while the agent was dead');
    await matrix.keeps(1);
  },
  600_000,
);
