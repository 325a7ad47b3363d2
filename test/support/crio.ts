import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CriDaemon, pauseReference } from './cri-daemon.js';
import { DaemonFolder } from './daemon-folder.js';
import { hostProgram } from './host-program.js';

/** `crio` and its `pinns`. */
const binDir = process.env['BERTH_CRIO_BIN'] ?? '/usr/local/bin';

/** Undefined when CRI-O can be started here, else what is missing. */
export function missingForCrio(): string | undefined {
  const ours = [join(binDir, 'crio'), join(binDir, 'pinns')];
  const programs = ['/usr/sbin/runc', '/usr/bin/conmon', '/usr/bin/skopeo', '/usr/lib/cni/ptp', '/bin/busybox'];
  return [...ours, ...programs].find((path) => !existsSync(path));
}

export interface CrioOptions {
  /** Host and port of one that is spoken to without TLS. */
  readonly insecureRegistry?: string | undefined;
  /** Whether it tells of events at all; by itself it does not. Default: yes. */
  readonly podEvents?: boolean | undefined;
}

/** A CRI-O of the test's own. */
export class Crio extends CriDaemon {
  protected readonly importsWhileUp = false;
  // Asked to end by SIGTERM, and waited for.
  protected readonly pauseCommand = ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 1000000 & wait; done'];

  readonly #options: CrioOptions;

  private constructor(own: DaemonFolder, options: CrioOptions) {
    super(own, {
      name: 'CRI-O',
      binDir,
      argv: [join(binDir, 'crio'), '--config', join(own.path, 'crio.conf'), '--config-dir', ''],
      env: { CONTAINER_REGISTRIES_CONF: join(own.path, 'registries.conf') },
      socketName: 'crio.sock',
    });
    this.#options = options;
  }

  static async open(options: CrioOptions = {}): Promise<Crio> {
    return await new Crio(await DaemonFolder.open('brt-co-'), options).up();
  }

  protected async configure(): Promise<void> {
    for (const name of ['exits', 'attach', 'policies', 'hooks', 'cdi']) await mkdir(join(this.folder, name));
    const policy = { default: [{ type: 'insecureAcceptAnything' }] };
    await writeFile(join(this.folder, 'policy.json'), JSON.stringify(policy));
    const { insecureRegistry: registry, podEvents = true } = this.#options;
    const lines = registry === undefined ? [] : ['[[registry]]', `location = "${registry}"`, 'insecure = true'];
    await writeFile(join(this.folder, 'registries.conf'), lines.join('\n'));
    await writeFile(join(this.folder, 'crio.conf'), config(this.folder, podEvents));
  }

  async importImage(path: string, reference: string): Promise<void> {
    const store = `containers-storage:[overlay@${this.folder}/root+${this.folder}/run]${reference}`;
    const policy = join(this.folder, 'policy.json');
    await hostProgram(['skopeo', '--policy', policy, 'copy', '--quiet', `oci-archive:${path}`, store], 60_000);
  }
}

function config(folder: string, podEvents: boolean): string {
  return `[crio]
root = "${folder}/root"
runroot = "${folder}/run"
storage_driver = "overlay"
log_dir = "${folder}/crio-logs"
version_file = "${folder}/version"
version_file_persist = ""
clean_shutdown_file = "${folder}/clean.shutdown"
[crio.api]
listen = "${folder}/crio.sock"
stream_address = "127.0.0.1"
stream_port = "0"
[crio.runtime]
default_runtime = "runc"
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
pinns_path = "${binDir}/pinns"
namespaces_dir = "${folder}/ns"
container_exits_dir = "${folder}/exits"
container_attach_socket_dir = "${folder}/attach"
hooks_dir = ["${folder}/hooks"]
cdi_spec_dirs = ["${folder}/cdi"]
apparmor_profile = "unconfined"
irqbalance_config_file = "${folder}/irqbalance"
irqbalance_config_restore_file = "disable"
decryption_keys_path = "${folder}/keys"
enable_pod_events = ${podEvents}
enable_criu_support = false
[crio.runtime.runtimes.runc]
runtime_path = "/usr/sbin/runc"
runtime_type = "oci"
runtime_root = "${folder}/runc"
monitor_path = "/usr/bin/conmon"
monitor_cgroup = "pod"
[crio.image]
pause_image = "${pauseReference}"
pause_command = ""
signature_policy = "${folder}/policy.json"
signature_policy_dir = "${folder}/policies"
[crio.network]
network_dir = "${folder}/net.d"
plugin_dirs = ["/usr/lib/cni"]
[crio.nri]
enable_nri = false
`;
}
