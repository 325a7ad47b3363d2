import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { openRemoteRuntime } from '../../cri/remote/index.js';
import { makeBusyboxImage } from '../setup/busybox-image.js';
import { Daemon, eventually } from './daemon.js';
import { LeakCheck } from './leak-check.js';
import { hostProgram, tryHostProgram } from './host-program.js';

/** The two lines of containerd that matter, and where their programs may be. */
const flavours = {
  '2.x': { binDir: process.env['BERTH_CONTAINERD2_BIN'] ?? '/usr/local/bin', config: configV3 },
  '1.6': { binDir: '/usr/bin', config: configV2 },
};

export type ContainerdFlavour = keyof typeof flavours;

/** Undefined when this containerd can be started here, else what is missing. */
export function missingForContainerd(flavour: ContainerdFlavour): string | undefined {
  const needed = [join(flavours[flavour].binDir, 'containerd'), '/usr/sbin/runc', '/usr/lib/cni/ptp', '/bin/busybox'];
  return needed.find((path) => !existsSync(path));
}

export const busyboxReference = 'docker.io/library/busybox:latest';
const pauseReference = 'berth.test/pause:1';

interface ConfigFolders {
  readonly folder: string;
  readonly subnet: string;
}

/** A containerd of its own, with images and a network in a temporary folder; disposing removes all it made and looks for leaks. */
export class Containerd implements AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  readonly endpoint: string;
  readonly #daemon: Daemon;
  readonly #binDir: string;
  readonly #leaks: LeakCheck;

  private constructor(folder: string, binDir: string, leaks: LeakCheck) {
    this.folder = folder;
    this.#leaks = leaks;
    this.socket = join(folder, 'containerd.sock');
    this.endpoint = `unix://${this.socket}`;
    this.#binDir = binDir;
    const env = { PATH: `${binDir}:/usr/sbin:/usr/bin:/sbin:/bin`, HOME: folder };
    const argv = [join(binDir, 'containerd'), '-c', join(folder, 'config.toml')] as const;
    this.#daemon = new Daemon({ argv: [...argv], env, logFile: join(folder, 'containerd.log') });
  }

  static async open(flavour: ContainerdFlavour): Promise<Containerd> {
    const folder = await mkdtemp(join(tmpdir(), 'brt-cd-'));
    const { binDir, config } = flavours[flavour];
    const leaks = await LeakCheck.open({ tokens: [basename(folder)] });
    const containerd = new Containerd(folder, binDir, leaks);
    try {
      const subnet = `10.${100 + Math.floor(Math.random() * 100)}.${Math.floor(Math.random() * 250)}.0/24`;
      await writeTestNetwork(folder, subnet);
      await writeFile(join(folder, 'config.toml'), config({ folder, subnet }));
      await containerd.start();
      await containerd.#importImages();
      return containerd;
    } catch (err) {
      const words = await containerd.#daemon.lastWords();
      await containerd[Symbol.asyncDispose]();
      throw new Error(`start containerd ${flavour}: ${words}`, { cause: err });
    }
  }

  /** Unique on the machine: for cgroups and the like. */
  get name(): string {
    return basename(this.folder);
  }

  get pid(): number | undefined {
    return this.#daemon.pid;
  }

  async start(): Promise<void> {
    this.#daemon.start();
    await eventually('containerd answers', async () => {
      const result = await this.#ctr('version');
      return result.end.kind === 'exited' && result.end.code === 0;
    });
    await eventually('CRI is ready', async () => {
      await using runtime = await this.connect();
      const { status } = await runtime.runtime.status({}, new AbortController().signal);
      return status?.conditions?.every((condition) => condition.status === true);
    });
  }

  async kill(): Promise<void> {
    await this.#daemon.stop('SIGKILL');
  }

  /** It answers nothing from now on, and does nothing. */
  freeze(): void {
    process.kill(this.pid ?? 0, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.pid ?? 0, 'SIGCONT');
  }

  connect(): ReturnType<typeof openRemoteRuntime> {
    return openRemoteRuntime(
      { endpoint: this.endpoint },
      { log: silentLogger, clock: systemClock, recorder: noRecorder },
      new AbortController().signal,
    );
  }

  /** Takes a docker or OCI archive in, as if it had been pulled. */
  async importImage(path: string): Promise<void> {
    const result = await this.#ctr('-n', 'k8s.io', 'images', 'import', path);
    if (result.end.kind !== 'exited' || result.end.code !== 0) throw new Error(`import ${path}: ${result.stderr}`);
  }

  async #importImages(): Promise<void> {
    const busybox = join(this.folder, 'busybox.tar');
    const pause = join(this.folder, 'pause.tar');
    await makeBusyboxImage({ path: busybox, reference: busyboxReference });
    await makeBusyboxImage({ path: pause, reference: pauseReference, config: { cmd: ['sleep', '1000000000'] } });
    await this.importImage(busybox);
    await this.importImage(pause);
    await using runtime = await this.connect();
    await eventually('the images are known to CRI', async () => {
      const image = { image: busyboxReference };
      return (await runtime.images.imageStatus({ image }, new AbortController().signal)).image !== null;
    });
  }

  async #ctr(...args: string[]): ReturnType<typeof tryHostProgram> {
    return await tryHostProgram([join(this.#binDir, 'ctr'), '-a', this.socket, ...args], 60_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#daemon.running) await this.#removePods();
    await this.#daemon.stop('SIGTERM');
    await endProcessesOf(this.folder);
    await unmountBelow(this.folder);
    await removeCgroups(this.name);
    await rm(this.folder, { recursive: true, force: true });
    await this.#leaks[Symbol.asyncDispose]();
  }

  async #removePods(): Promise<void> {
    const { signal } = new AbortController();
    await using runtime = await this.connect();
    const { items = [] } = await runtime.runtime.listPodSandbox({}, signal);
    await Promise.all(
      items.map(async ({ id: podSandboxId }) => {
        await runtime.runtime.stopPodSandbox({ podSandboxId }, signal);
        await runtime.runtime.removePodSandbox({ podSandboxId }, signal);
      }),
    );
  }
}

/** Shims outlive their daemon: they are found by the folder in their arguments. */
export async function endProcessesOf(folder: string): Promise<void> {
  await eventually(`no process of ${folder} is left`, async () => {
    const found: number[] = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const command = await readFile(join('/proc', name, 'cmdline'), 'utf8').catch(() => '');
      if (command.includes(folder)) found.push(Number(name));
    }
    for (const pid of found) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it went by itself
      }
    }
    return found.length === 0;
  });
}

export async function unmountBelow(folder: string): Promise<void> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const points = lines.map((line) => line.split(' ')[4] ?? '').filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.toReversed()) await hostProgram(['umount', '-l', point]);
}

/**
 * Ends what still runs below a parent cgroup of the test's own (a daemon that was killed and never came back leaves its
 * containers running) and removes what OCI runtimes left there, in every hierarchy.
 */
export async function removeCgroups(name: string): Promise<void> {
  await eventually(`no cgroup of ${name} is left`, async () => {
    const found = await tryHostProgram(['find', '/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*/${name}*`]);
    const folders = found.stdout.toString('utf8').split('\n');
    for (const folder of folders.filter((path) => path !== '')) {
      const members = await readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => '');
      for (const pid of members.split('\n').filter((text) => text !== '')) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // it went by itself
        }
      }
      await rmdir(folder).catch(() => {});
    }
    return folders.length <= 1;
  });
}

export async function writeTestNetwork(folder: string, subnet: string): Promise<void> {
  const conf = {
    cniVersion: '0.4.0',
    name: 'berth-test',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ipam: { type: 'host-local', dataDir: join(folder, 'ipam'), ranges: [[{ subnet }]] },
      },
    ],
  };
  await mkdir(join(folder, 'net.d'), { recursive: true });
  await writeFile(join(folder, 'net.d', '10-test.conflist'), JSON.stringify(conf));
}

function configV3({ folder }: ConfigFolders): string {
  return `version = 3
root = '${folder}/root'
state = '${folder}/state'
disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.snapshotter.v1.btrfs', 'io.containerd.snapshotter.v1.zfs', 'io.containerd.snapshotter.v1.devmapper']
[grpc]
  address = '${folder}/containerd.sock'
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '${pauseReference}'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  enable_unprivileged_ports = false
  enable_unprivileged_icmp = false
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['/usr/lib/cni']
    conf_dir = '${folder}/net.d'
[plugins.'io.containerd.internal.v1.opt']
  path = '${folder}/opt'
`;
}

function configV2({ folder }: ConfigFolders): string {
  return `version = 2
root = '${folder}/root'
state = '${folder}/state'
disabled_plugins = ['io.containerd.snapshotter.v1.btrfs', 'io.containerd.snapshotter.v1.zfs', 'io.containerd.snapshotter.v1.devmapper', 'io.containerd.snapshotter.v1.aufs']
[grpc]
  address = '${folder}/containerd.sock'
[plugins.'io.containerd.grpc.v1.cri']
  sandbox_image = '${pauseReference}'
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  [plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins.'io.containerd.grpc.v1.cri'.cni]
    bin_dir = '/usr/lib/cni'
    conf_dir = '${folder}/net.d'
[plugins.'io.containerd.internal.v1.opt']
  path = '${folder}/opt'
`;
}
