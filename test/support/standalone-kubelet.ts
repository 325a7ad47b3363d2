import { mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { assetsDir } from './control-plane.js';
import { freePorts } from './free-ports.js';
import { Daemon } from './daemon.js';

const program = join(assetsDir, 'kubelet');

/** Undefined when Kubernetes' own kubelet can be started here, else what is missing. */
export function missingForKubelet(): string | undefined {
  return existsSync(program) ? undefined : program;
}

/**
 * A kubelet sets these as it likes them, and has fixed places below /var/lib and /var/log. It gets copies in a mount namespace of its own:
 * nothing of the machine changes, and another kubelet may run beside it.
 */
const inside = `set -e
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  copy=/var/lib/$(echo $name | tr / .)
  cat /proc/sys/$name > $copy
  mount --bind $copy /proc/sys/$name
done
exec "$@"`;

export interface StandaloneKubeletOptions {
  /** Short, on the machine's own file system: for everything the kubelet keeps. */
  readonly folder: string;
  readonly runtimeEndpoint: string;
  /** Parent of the pods' cgroups. */
  readonly cgroupRoot: string;
  readonly podLogsDir: string;
}

/** Kubernetes' own kubelet without a cluster: it runs the manifests of a folder on a runtime. */
export class StandaloneKubelet implements AsyncDisposable {
  readonly manifests: string;
  readonly #port: number;
  readonly #readOnlyPort: number;
  readonly #daemon: Daemon;

  private constructor(manifests: string, ports: readonly number[], daemon: Daemon) {
    const [port = 0, readOnlyPort = 0] = ports;
    this.manifests = manifests;
    this.#port = port;
    this.#readOnlyPort = readOnlyPort;
    this.#daemon = daemon;
  }

  /** Resolves when it was started; it need not answer yet. */
  static async open(options: StandaloneKubeletOptions): Promise<StandaloneKubelet> {
    const { folder, runtimeEndpoint, cgroupRoot, podLogsDir } = options;
    const manifests = join(folder, 'manifests');
    await mkdir(manifests, { recursive: true });
    const ports = await freePorts(2);
    const [port, readOnlyPort] = ports;
    const configuration = {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      address: '127.0.0.1',
      port,
      readOnlyPort,
      healthzPort: 0,
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: 'AlwaysAllow' },
      containerRuntimeEndpoint: runtimeEndpoint,
      staticPodPath: manifests,
      cgroupDriver: 'cgroupfs',
      cgroupRoot,
      cgroupsPerQOS: false,
      enforceNodeAllocatable: [],
      failCgroupV1: false,
      failSwapOn: false,
      podLogsDir,
      volumePluginDir: join(folder, 'flexvolume'),
      resolvConf: '/dev/null',
      makeIPTablesUtilChains: false,
    };
    const config = join(folder, 'kubelet.yaml');
    await writeFile(config, stringify(configuration));
    const flags = {
      config,
      'hostname-override': 'alone',
      'node-ip': '127.0.0.1',
      'root-dir': join(folder, 'root'),
      'cert-dir': join(folder, 'pki'),
    };
    const kubelet = [program, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)];
    const daemon = new Daemon({
      argv: ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', inside, 'sh', ...kubelet],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder },
      logFile: join(folder, 'kubelet.log'),
    });
    daemon.start();
    return new StandaloneKubelet(manifests, ports, daemon);
  }

  /** What it says of its pods: `v1.PodList`. */
  async pods(): Promise<{ readonly items?: readonly KubeletPod[] | null }> {
    const answer = await fetch(`http://127.0.0.1:${this.#readOnlyPort}/pods`);
    return (await answer.json()) as { readonly items?: readonly KubeletPod[] | null };
  }

  /** Of a command in a container, for a WebSocket. */
  execUrl(podName: string, container: string, command: readonly string[]): string {
    const query = new URLSearchParams({ output: '1', error: '1' });
    for (const word of command) query.append('command', word);
    return `wss://127.0.0.1:${this.#port}/exec/default/${podName}/${container}?${query.toString()}`;
  }

  async lastWords(): Promise<string> {
    return await this.#daemon.lastWords();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon.stop();
  }
}

export interface KubeletPod {
  readonly metadata: { readonly name: string };
  readonly status: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number; readonly containerID?: string }[];
  };
}
