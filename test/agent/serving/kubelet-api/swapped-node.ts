import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Lease, Pod } from '../../../../agent/api/index.js';
import { sampleImage } from '../../agent-world.js';
import { entries, mountsBelow, podCgroups } from '../../machine-traces.js';
import { makeBusyboxImage } from '../../../setup/busybox-image.js';
import { Containerd, removeCgroups, unmountBelow } from '../../../support/containerd.js';
import { TestControlPlane } from '../../../support/control-plane.js';
import { freePorts } from '../../../support/free-ports.js';
import { Daemon } from '../../../support/daemon.js';
import { hostProgram, tryHostProgram } from '../../../support/host-program.js';
import { ask } from './https-client.js';
import { KubeletTraces } from './kubelet-traces.js';
import { kubeletProgram } from './real-kubelet.js';
import { berthMain } from './whole-cluster.js';

export type Program = 'kubelet' | 'berth';

const never = new AbortController().signal;
const nodeName = 'node-1';
const namespace = '/api/v1/namespaces/default';

/**
 * A node of a cluster on which a kubelet and berth take turns: one containerd, one root folder, one configuration file, one kubeconfig,
 * one name.
 */
export class SwappedNode implements AsyncDisposable {
  readonly nodeName = nodeName;
  readonly cluster: TestControlPlane;
  readonly #containerd: Containerd;
  readonly #runtime: Awaited<ReturnType<Containerd['connect']>>;
  readonly #address: { readonly host: string; readonly port: number; readonly bridge: string };
  readonly #client: { readonly cert: string; readonly key: string };
  readonly #daemons: Readonly<Record<Program, Daemon>>;
  readonly #traces: KubeletTraces;

  private constructor(
    cluster: TestControlPlane,
    containerd: Containerd,
    runtime: Awaited<ReturnType<Containerd['connect']>>,
    address: { host: string; port: number; bridge: string },
    client: { cert: string; key: string },
    daemons: Readonly<Record<Program, Daemon>>,
    traces: KubeletTraces,
  ) {
    this.cluster = cluster;
    this.#containerd = containerd;
    this.#runtime = runtime;
    this.#address = address;
    this.#client = client;
    this.#daemons = daemons;
    this.#traces = traces;
  }

  /** None of the two runs yet. */
  static async open(): Promise<SwappedNode> {
    const cluster = await TestControlPlane.start({ kubeletClient: true });
    const containerd = await Containerd.open('2.x');
    const { folder } = containerd;
    const archive = join(folder, 'sample.tar');
    await makeBusyboxImage({ path: archive, reference: sampleImage });
    await containerd.importImage(archive);
    const [port = 0] = await freePorts(1);
    // A kubelet does not take an address of the loopback for its node's.
    const host = `10.208.${randomBytes(1)[0]}.1`;
    const bridge = `bsw${randomBytes(4).toString('hex')}`;
    await hostProgram(['ip', 'link', 'add', bridge, 'type', 'bridge']);
    await hostProgram(['ip', 'address', 'add', `${host}/32`, 'dev', bridge]);
    await hostProgram(['ip', 'link', 'set', bridge, 'up']);
    await makeCgroups(containerd.name);
    const flags = await configure(cluster, containerd, host, port);
    const own = { 'state-dir': join(folder, 'berth'), 'run-dir': join(folder, 'run'), 'log-level': 'debug' };
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder };
    const at = (name: string): Promise<string> => readFile(join(cluster.dir, name), 'utf8');
    const kubelet = new Daemon({
      argv: [kubeletProgram, ...lineOf(flags)],
      env,
      logFile: join(folder, 'kubelet.log'),
    });
    const berth = new Daemon({
      argv: [process.execPath, berthMain, 'agent', ...lineOf({ ...flags, ...own })],
      env,
      logFile: join(folder, 'berth.log'),
    });
    return new SwappedNode(
      cluster,
      containerd,
      await containerd.connect(),
      { host, port, bridge },
      { cert: await at('kubelet-client.crt'), key: await at('kubelet-client.key') },
      { kubelet, berth },
      await KubeletTraces.open(folder),
    );
  }

  /** One stops, the other starts and has the node: its lease is renewed, and it answers. */
  async handOver(to: Program): Promise<void> {
    for (const daemon of Object.values(this.#daemons)) await daemon.stop();
    const began = Date.now();
    this.#daemons[to].start();
    await this.until(`${to} has the node`, async () => {
      if (!this.#daemons[to].running) throw new Error(`${to} ended`);
      const lease = await this.cluster.find<Lease>(
        `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${nodeName}`,
      );
      return Date.parse(lease?.spec?.renewTime ?? '') > began || undefined;
    });
  }

  async create(path: string, object: object): Promise<void> {
    await this.cluster.api('POST', `${namespace}/${path}`, { apiVersion: 'v1', ...object });
  }

  async pod(name: string): Promise<Pod> {
    return (await this.cluster.api('GET', `${namespace}/pods/${name}`)).body;
  }

  /** A shell's output in a container. */
  async shell(podName: string, container: string, script: string): Promise<string> {
    const { status } = await this.pod(podName);
    const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
    const containerId = all.find(({ name }) => name === container)?.containerID?.replace('containerd://', '') ?? '';
    const asked = { containerId, cmd: ['sh', '-c', script], timeout: 20 };
    const { stdout, stderr, exitCode } = await this.#runtime.runtime.execSync(asked, never);
    if ((exitCode ?? 0) !== 0) throw new Error(`${script}: ${exitCode} ${Buffer.from(stderr ?? '').toString()}`);
    return Buffer.from(stdout ?? '').toString();
  }

  /** The node's own API. */
  async asked(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const { host, port } = this.#address;
    return await ask({ port, path, ...this.#client, options: { host } });
  }

  /** What the runtime has of pods: the states of sandboxes and containers by their ids. */
  async inRuntime(podNames: readonly string[]): Promise<Readonly<Record<string, string>>> {
    const { items = [] } = await this.#runtime.runtime.listPodSandbox({}, never);
    const { containers = [] } = await this.#runtime.runtime.listContainers({}, never);
    const sandboxes = items.filter(({ metadata }) => podNames.includes(metadata?.name ?? ''));
    const ids = new Set(sandboxes.map(({ id }) => id));
    const within = containers.filter(({ podSandboxId }) => ids.has(podSandboxId));
    return Object.fromEntries([
      ...sandboxes.map(({ id, state, metadata }) => [id ?? '', `sandbox of ${metadata?.name}: ${state}`]),
      ...within.map(({ id, state, metadata }) => [id ?? '', `${metadata?.name} ${metadata?.attempt}: ${state}`]),
    ]) as Record<string, string>;
  }

  /** What is on the machine of a pod, except what a kubelet sweeps once a minute: logs, and sandboxes that are over. */
  async tracesOf({ metadata, status }: Pod): Promise<readonly string[]> {
    const uid = metadata?.uid ?? '';
    const { folder, name } = this.#containerd;
    const { items = [] } = await this.#runtime.runtime.listPodSandbox({}, never);
    const sandboxes = items.filter((each) => each.metadata?.uid === uid && each.state === 'SANDBOX_READY');
    const cgroups = await podCgroups(name);
    return [
      ...[...mountsBelow([folder]), ...cgroups].filter((path) => path.includes(uid)),
      ...(await entries(join(folder, 'kubelet', 'pods'))).filter((each) => each === uid),
      ...sandboxes.map(({ id }) => `sandbox ${id}`),
      ...(await entries(join(folder, 'ipam', 'berth-test'))).filter((address) => address === status?.podIP),
    ];
  }

  async until<T>(what: string, look: () => Promise<T | undefined>, withinMs = 90_000): Promise<T> {
    try {
      return await this.cluster.until(what, look, withinMs);
    } catch (err) {
      const words = Object.values(this.#daemons).map((daemon) => daemon.lastWords());
      throw new Error([String(err), ...(await Promise.all(words))].join('\n'), { cause: err });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of Object.values(this.#daemons)) await daemon.stop();
    const { folder, name } = this.#containerd;
    await this.#traces[Symbol.asyncDispose]();
    await this.#runtime[Symbol.asyncDispose]();
    await unmountBelow(folder + '/kubelet');
    await this.#containerd[Symbol.asyncDispose]();
    await removeCgroups(name);
    await rm(folder, { recursive: true, force: true });
    await tryHostProgram(['ip', 'link', 'delete', this.#address.bridge]);
    await this.cluster[Symbol.asyncDispose]();
  }
}

const lineOf = (flags: Readonly<Record<string, string>>): string[] =>
  Object.entries(flags).map(([name, value]) => `--${name}=${value}`);

/** A kubelet wants the root of its cgroups to be there. */
async function makeCgroups(name: string): Promise<void> {
  for (const controller of await readdir('/sys/fs/cgroup'))
    await mkdir(join('/sys/fs/cgroup', controller, name)).catch(() => undefined);
}

/** The flags that both take. */
async function configure(
  cluster: TestControlPlane,
  containerd: Containerd,
  host: string,
  port: number,
): Promise<Readonly<Record<string, string>>> {
  const { folder, name, endpoint } = containerd;
  const rootDir = join(folder, 'kubelet');
  await mkdir(rootDir, { recursive: true });
  const config = join(folder, 'kubelet.yaml');
  const configuration = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: host,
    port,
    healthzPort: 0,
    authentication: { x509: { clientCAFile: join(cluster.dir, 'ca.crt') } },
    containerRuntimeEndpoint: endpoint,
    clusterDNS: ['10.0.0.10'],
    clusterDomain: 'cluster.local',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${name}`,
    cgroupsPerQOS: true,
    enforceNodeAllocatable: ['pods'],
    failCgroupV1: false,
    failSwapOn: false,
    podLogsDir: join(folder, 'logs'),
    volumePluginDir: join(folder, 'flexvolume'),
    // Volumes are looked at that often.
    syncFrequency: '2s',
    resolvConf: '/dev/null',
    makeIPTablesUtilChains: false,
  };
  await writeFile(config, stringify(configuration));
  return {
    config,
    kubeconfig: await cluster.nodeKubeconfig(nodeName),
    'hostname-override': nodeName,
    'node-ip': host,
    'root-dir': rootDir,
    'cert-dir': join(folder, 'pki'),
  };
}
