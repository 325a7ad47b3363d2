import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CriDaemon, pauseReference } from './cri-daemon.js';
import { DaemonFolder } from './daemon-folder.js';
import { hostProgram } from './host-program.js';

export { busyboxReference } from './cri-daemon.js';
export { removeCgroups, unmountBelow } from './daemon-folder.js';

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

/** A containerd of the test's own. */
export class Containerd extends CriDaemon {
  protected readonly importsWhileUp = true;
  protected readonly pauseCommand = ['sleep', '1000000000'];
  readonly #flavour: ContainerdFlavour;

  private constructor(own: DaemonFolder, flavour: ContainerdFlavour) {
    const { binDir } = flavours[flavour];
    super(own, {
      name: `containerd ${flavour}`,
      binDir,
      argv: [join(binDir, 'containerd'), '-c', join(own.path, 'config.toml')],
      socketName: 'containerd.sock',
    });
    this.#flavour = flavour;
  }

  static async open(flavour: ContainerdFlavour): Promise<Containerd> {
    return await new Containerd(await DaemonFolder.open('brt-cd-'), flavour).up();
  }

  protected async configure(): Promise<void> {
    await writeFile(join(this.folder, 'config.toml'), flavours[this.#flavour].config(this.folder));
  }

  /** The archive says its name itself. */
  async importImage(path: string): Promise<void> {
    const ctr = join(flavours[this.#flavour].binDir, 'ctr');
    await hostProgram([ctr, '-a', this.socket, '-n', 'k8s.io', 'images', 'import', path], 60_000);
  }
}

function configV3(folder: string): string {
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

function configV2(folder: string): string {
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
