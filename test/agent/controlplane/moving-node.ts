import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Node, Pod } from '../../../agent/api/index.js';
import { AgentWorld, sampleImage } from '../agent-world.js';
import type { TestControlPlane } from '../../support/control-plane.js';
import { freePorts } from '../../support/free-ports.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { TempNetns } from '../../support/temp-netns.js';
import { Passages } from './proxies.js';

const distRoot = process.env['BERTH_TEST_DIST'] ?? fileURLToPath(new URL('../../../dist', import.meta.url));
const berthMain = join(distRoot, 'agent/cli/main.js');
const podsPath = '/api/v1/namespaces/default/pods';

/** Whether there is a built agent to start. */
export const canMove = (): boolean => existsSync(berthMain);

/** `berth agent` in a network namespace of its own, on one cable with the API server. */
export class MovingNode implements AsyncDisposable {
  readonly name: string;
  readonly world: AgentWorld;
  readonly netns: TempNetns;
  readonly subnet = `10.208.${randomBytes(1)[0]}`;
  readonly #cable: string;
  readonly #cluster: TestControlPlane;
  #relay: Relay | undefined;
  #agent: ChildProcess | undefined;
  log = '';

  private constructor(cluster: TestControlPlane, name: string, world: AgentWorld, netns: TempNetns) {
    this.#cluster = cluster;
    this.name = name;
    this.world = world;
    this.netns = netns;
    this.#cable = `${world.bridge}m`;
  }

  static async open(cluster: TestControlPlane, name: string): Promise<MovingNode> {
    const node = new MovingNode(cluster, name, await AgentWorld.open(), await TempNetns.open());
    try {
      await node.#plug();
      await node.use(2);
      await node.#start(await node.#kubeconfig());
      return node;
    } catch (err) {
      await node[Symbol.asyncDispose]();
      throw err;
    }
  }

  address(last: number): string {
    return `${this.subnet}.${last}`;
  }

  /** The machine gets another address from now on, as a new lease of DHCP gives it one. */
  async use(last: number): Promise<void> {
    await this.netns.run(['ip', 'address', 'flush', 'dev', 'eth0']);
    await this.netns.run(['ip', 'address', 'add', `${this.address(last)}/24`, 'dev', 'eth0']);
    await this.netns.run(['ip', 'route', 'replace', 'default', 'via', this.address(1)]);
  }

  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    try {
      return await this.#cluster.until(what, look, 60_000);
    } catch (err) {
      throw new Error(`${String(err)}\n${this.log.slice(-4000)}`, { cause: err });
    }
  }

  /** The cluster knows the node by this address. */
  async untilTold(last: number): Promise<void> {
    await this.until(`${this.address(last)} is told`, async () => {
      const shown = await this.#cluster.find<Node>(`/api/v1/nodes/${this.name}`);
      const told = shown?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
      return told === this.address(last) ? true : undefined;
    });
  }

  /** A pod on the network of the machine. */
  async create(pod: string): Promise<void> {
    const containers = [{ name: 'main', image: sampleImage, command: ['sleep', '1000000'] }];
    const spec = {
      nodeName: this.name,
      hostNetwork: true,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      containers,
    };
    await this.#cluster.api('POST', podsPath, { metadata: { name: pod }, spec });
  }

  async untilPodTold(pod: string, last: number): Promise<Pod> {
    return await this.until(`pod ${pod} is told ${this.address(last)}`, async () => {
      const found = await this.#cluster.find<Pod>(`${podsPath}/${pod}`);
      return found?.status?.hostIP === this.address(last) ? found : undefined;
    });
  }

  async remove(pod: string): Promise<void> {
    await this.#cluster.api('DELETE', `${podsPath}/${pod}`);
    await this.until(`pod ${pod} is gone`, async () => {
      const found = await this.#cluster.find<Pod>(`${podsPath}/${pod}`);
      return found === undefined ? true : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#agent && this.#agent.exitCode === null) {
      const ended = once(this.#agent, 'exit');
      this.#agent.kill();
      await ended;
    }
    await this.#relay?.[Symbol.asyncDispose]();
    await tryHostProgram(['ip', 'link', 'delete', this.#cable]);
    await this.world[Symbol.asyncDispose]();
    await this.netns[Symbol.asyncDispose]();
  }

  async #plug(): Promise<void> {
    const peer = ['peer', 'name', 'eth0', 'netns', this.netns.path];
    await hostProgram(['ip', 'link', 'add', this.#cable, 'type', 'veth', ...peer]);
    await hostProgram(['ip', 'address', 'add', `${this.address(1)}/24`, 'dev', this.#cable]);
    await hostProgram(['ip', 'link', 'set', this.#cable, 'up']);
    await this.netns.run(['ip', 'link', 'set', 'eth0', 'up']);
  }

  /** The API server is on loopback of the other side: what comes by the cable is passed on. */
  async #kubeconfig(): Promise<string> {
    this.#relay = await Relay.open(this.#cluster.server, this.address(1));
    const { url } = this.#relay;
    const made = JSON.parse(await readFile(await this.#cluster.nodeKubeconfig(this.name, url), 'utf8')) as {
      clusters: { cluster: Record<string, unknown> }[];
    };
    for (const { cluster } of made.clusters) cluster['tls-server-name'] = 'localhost';
    const path = join(this.world.dir, 'kubelet.kubeconfig');
    await writeFile(path, JSON.stringify(made));
    return path;
  }

  async #start(kubeconfig: string): Promise<void> {
    const { paths, cgroups } = this.world.config;
    const { dir } = this.world;
    await mkdir(paths.rootDir, { recursive: true });
    const [port = 0] = await freePorts(1);
    const config = join(dir, 'kubelet.yaml');
    const kubelet = {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      port,
      healthzPort: 0,
      authentication: { x509: { clientCAFile: join(this.#cluster.dir, 'ca.crt') } },
      cgroupRoot: cgroups.root,
      podLogsDir: paths.podLogsDir,
      volumePluginDir: paths.volumePluginDir,
      serverTLSBootstrap: true,
      nodeStatusUpdateFrequency: '1s',
    };
    const own = { apiVersion: 'berth/v1', kind: 'BerthConfiguration', cniBinDirs: paths.cniBinDirs };
    await writeFile(config, `${stringify(kubelet)}---\n${stringify(own)}`);
    const flags = Object.entries({
      config,
      kubeconfig,
      'hostname-override': this.name,
      'root-dir': paths.rootDir,
      'cert-dir': join(dir, 'pki'),
      'state-dir': paths.stateDir,
      'run-dir': paths.runDir,
      'cni-conf-dir': paths.cniConfDir,
      'log-level': 'debug',
    }).map(([flag, value]) => `--${flag}=${value}`);
    const agent = spawn('nsenter', [`--net=${this.netns.path}`, process.execPath, berthMain, 'agent', ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    for (const stream of [agent.stdout, agent.stderr])
      stream.on('data', (chunk: Buffer) => (this.log += chunk.toString()));
    this.#agent = agent;
  }
}

/** Passes connections on to one server. */
class Relay implements AsyncDisposable {
  readonly url: string;
  readonly #passages: Passages;

  private constructor(server: Server, onward: URL) {
    const { address, port } = server.address() as AddressInfo;
    this.url = `https://${address}:${port}`;
    this.#passages = new Passages(server);
    server.on('connection', (client) => {
      const upstream = connect(Number(onward.port), onward.hostname);
      upstream.pipe(client).pipe(upstream);
      this.#passages.add(client, upstream);
    });
  }

  static async open(onward: string, at: string): Promise<Relay> {
    const server = createServer();
    server.listen(0, at);
    await once(server, 'listening');
    return new Relay(server, new URL(onward));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#passages.end();
  }
}
