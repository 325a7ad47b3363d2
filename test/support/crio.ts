import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { openRemoteRuntime } from '../../cri/remote/index.js';
import { makeBusyboxImage } from '../setup/busybox-image.js';
import { busyboxReference, endProcessesOf, removeCgroups, unmountBelow, writeTestNetwork } from './containerd.js';
import { Daemon, eventually } from './daemon.js';
import { hostProgram } from './host-program.js';
import { LeakCheck } from './leak-check.js';

/** `crio` and its `pinns`. */
const binDir = process.env['BERTH_CRIO_BIN'] ?? '/usr/local/bin';
const pauseReference = 'berth.test/pause:1';

/** Undefined when CRI-O can be started here, else what is missing. */
export function missingForCrio(): string | undefined {
  const ours = [join(binDir, 'crio'), join(binDir, 'pinns')];
  const programs = ['/usr/sbin/runc', '/usr/bin/conmon', '/usr/bin/skopeo', '/usr/lib/cni/ptp', '/bin/busybox'];
  return [...ours, ...programs].find((path) => !existsSync(path));
}

/** A CRI-O of its own, with images and a network in a temporary folder; disposing removes all it made and looks for leaks. */
export class Crio implements AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  readonly endpoint: string;
  readonly #daemon: Daemon;
  readonly #leaks: LeakCheck;

  private constructor(folder: string, leaks: LeakCheck) {
    this.folder = folder;
    this.#leaks = leaks;
    this.socket = join(folder, 'crio.sock');
    this.endpoint = `unix://${this.socket}`;
    this.#daemon = new Daemon({
      argv: [join(binDir, 'crio'), '--config', join(folder, 'crio.conf'), '--config-dir', ''],
      env: { PATH: `${binDir}:/usr/sbin:/usr/bin:/sbin:/bin`, HOME: folder, TMPDIR: folder },
      logFile: join(folder, 'crio.log'),
    });
  }

  static async open(): Promise<Crio> {
    const folder = await mkdtemp(join(tmpdir(), 'brt-co-'));
    const leaks = await LeakCheck.open({ tokens: [basename(folder)] });
    const crio = new Crio(folder, leaks);
    try {
      const subnet = `10.${100 + Math.floor(Math.random() * 100)}.${Math.floor(Math.random() * 250)}.0/24`;
      await writeTestNetwork(folder, subnet);
      for (const name of ['exits', 'attach', 'policies', 'hooks', 'cdi']) await mkdir(join(folder, name));
      await writeFile(join(folder, 'policy.json'), JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
      await writeFile(join(folder, 'crio.conf'), config(folder));
      await crio.#importImages();
      await crio.start();
      return crio;
    } catch (err) {
      const words = await crio.#daemon.lastWords();
      await crio[Symbol.asyncDispose]();
      throw new Error(`start CRI-O: ${words}`, { cause: err });
    }
  }

  /** Unique on the machine: for cgroups and the like. */
  get name(): string {
    return basename(this.folder);
  }

  async start(): Promise<void> {
    this.#daemon.start();
    await eventually('CRI is ready', async () => {
      await using runtime = await this.connect();
      const { status } = await runtime.runtime.status({}, new AbortController().signal);
      return status?.conditions?.every((condition) => condition.status === true);
    });
  }

  async kill(): Promise<void> {
    await this.#daemon.stop('SIGKILL');
  }

  connect(): ReturnType<typeof openRemoteRuntime> {
    return openRemoteRuntime(
      { endpoint: this.endpoint },
      { log: silentLogger, clock: systemClock, recorder: noRecorder },
      new AbortController().signal,
    );
  }

  /** Takes an OCI archive in, as if it had been pulled. */
  async importImage(path: string, reference: string): Promise<void> {
    const store = `containers-storage:[overlay@${this.folder}/root+${this.folder}/run]${reference}`;
    const policy = join(this.folder, 'policy.json');
    await hostProgram(['skopeo', '--policy', policy, 'copy', '--quiet', `oci-archive:${path}`, store], 60_000);
  }

  async #importImages(): Promise<void> {
    const busybox = join(this.folder, 'busybox.tar');
    const pause = join(this.folder, 'pause.tar');
    await makeBusyboxImage({ path: busybox, reference: busyboxReference, format: 'oci-archive' });
    // Asked to end by SIGTERM, and waited for.
    const cmd = ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 1000000 & wait; done'];
    await makeBusyboxImage({ path: pause, reference: pauseReference, format: 'oci-archive', config: { cmd } });
    await this.importImage(busybox, busyboxReference);
    await this.importImage(pause, pauseReference);
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

function config(folder: string): string {
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
enable_pod_events = true
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
