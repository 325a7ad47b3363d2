import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { CertificateSigningRequest, Node, Pod } from '../../agent/api/index.js';
import { AgentWorld, sampleImage } from '../agent/agent-world.js';
import { freePorts } from '../support/free-ports.js';
import { hasControlPlane, TestControlPlane } from '../support/control-plane.js';
import { hostProgram, tryHostProgram } from '../support/host-program.js';
import { TempNetns } from '../support/temp-netns.js';

const distRoot = process.env['BERTH_TEST_DIST'] ?? fileURLToPath(new URL('../../dist', import.meta.url));
const berthMain = join(distRoot, 'agent/cli/main.js');
const requestsPath = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const name = 'moving-node';

/** `berth agent` in a network namespace of its own, on one cable with the API server. */
class MovingNode implements AsyncDisposable {
  readonly world: AgentWorld;
  readonly netns: TempNetns;
  /** Of no other world of the tests: theirs begin at 10.209. */
  readonly subnet = `10.208.${randomBytes(1)[0]}`;
  readonly #cable: string;
  readonly #cluster: TestControlPlane;
  #relay: Server | undefined;
  #agent: ChildProcess | undefined;
  log = '';

  private constructor(cluster: TestControlPlane, world: AgentWorld, netns: TempNetns) {
    this.#cluster = cluster;
    this.world = world;
    this.netns = netns;
    this.#cable = `${world.bridge}m`;
  }

  static async open(cluster: TestControlPlane): Promise<MovingNode> {
    const node = new MovingNode(cluster, await AgentWorld.open(), await TempNetns.open());
    try {
      await node.#plug();
      await node.use(2);
      await node.#start();
      return node;
    } catch (err) {
      await node[Symbol.asyncDispose]();
      throw err;
    }
  }

  /** The machine gets another address from now on, as a new lease of DHCP gives it one. */
  async use(last: number): Promise<void> {
    await this.netns.run(['ip', 'address', 'flush', 'dev', 'eth0']);
    await this.netns.run(['ip', 'address', 'add', `${this.subnet}.${last}/24`, 'dev', 'eth0']);
    await this.netns.run(['ip', 'route', 'replace', 'default', 'via', `${this.subnet}.1`]);
  }

  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    try {
      return await this.#cluster.until(what, look, 60_000);
    } catch (err) {
      throw new Error(`${String(err)}\n${this.log.slice(-4000)}`, { cause: err });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#agent && this.#agent.exitCode === null) {
      const ended = once(this.#agent, 'exit');
      this.#agent.kill();
      await ended;
    }
    this.#relay?.close();
    await tryHostProgram(['ip', 'link', 'delete', this.#cable]);
    await this.world[Symbol.asyncDispose]();
    await this.netns[Symbol.asyncDispose]();
  }

  async #plug(): Promise<void> {
    const peer = ['peer', 'name', 'eth0', 'netns', this.netns.path];
    await hostProgram(['ip', 'link', 'add', this.#cable, 'type', 'veth', ...peer]);
    await hostProgram(['ip', 'address', 'add', `${this.subnet}.1/24`, 'dev', this.#cable]);
    await hostProgram(['ip', 'link', 'set', this.#cable, 'up']);
    await this.netns.run(['ip', 'link', 'set', 'eth0', 'up']);
  }

  /** The API server is on loopback of the other side: what comes by the cable is passed on. */
  async #relayed(): Promise<string> {
    const port = Number(new URL(this.#cluster.server).port);
    const relay = createServer((socket) => {
      const onward = connect(port, '127.0.0.1');
      for (const [from, to] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        from.on('error', () => to.destroy());
        from.pipe(to);
      }
    });
    this.#relay = relay;
    await new Promise<void>((resolve) => relay.listen(0, `${this.subnet}.1`, resolve));
    return `https://${this.subnet}.1:${(relay.address() as AddressInfo).port}`;
  }

  async #start(): Promise<void> {
    const { paths, cgroups } = this.world.config;
    const { dir } = this.world;
    await mkdir(paths.rootDir, { recursive: true });
    const kubeconfig = join(dir, 'kubelet.kubeconfig');
    const made = JSON.parse(
      await readFile(await this.#cluster.nodeKubeconfig(name, await this.#relayed()), 'utf8'),
    ) as { clusters: { cluster: Record<string, unknown> }[] };
    for (const { cluster } of made.clusters) cluster['tls-server-name'] = 'localhost';
    await writeFile(kubeconfig, JSON.stringify(made));
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
      'hostname-override': name,
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

/** The names a request of a certificate is for. */
function namesOf({ spec }: CertificateSigningRequest): string {
  const input = Buffer.from(spec.request, 'base64');
  const text = execFileSync('openssl', ['req', '-noout', '-text'], { input, encoding: 'utf8' });
  return /Subject Alternative Name:\s*(.*)/.exec(text)?.[1]?.trim() ?? '';
}

describe.runIf(hasControlPlane() && existsSync(berthMain))('a machine whose address changes while it is a node', () => {
  let cluster: TestControlPlane;
  let node: MovingNode;
  beforeAll(async () => {
    cluster = await TestControlPlane.start({ controllerManager: true });
    node = await MovingNode.open(cluster);
  });
  afterAll(async () => {
    await node?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const internal = async (): Promise<string | undefined> => {
    const shown = await cluster.find<Node>(`/api/v1/nodes/${name}`);
    return shown?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
  };
  const waiting = async (): Promise<readonly CertificateSigningRequest[]> => {
    const items = (await cluster.api('GET', requestsPath)).body['items'] as CertificateSigningRequest[];
    return items.filter(
      ({ spec, status }) => spec.signerName === 'kubernetes.io/kubelet-serving' && !status?.conditions,
    );
  };
  const requestFor = async (names: string): Promise<CertificateSigningRequest> =>
    await node.until(`a request for ${names}`, async () => (await waiting()).find((each) => namesOf(each) === names));
  const untilTold = async (pod: string, ip: string): Promise<Pod> =>
    await node.until(`pod ${pod} is told ${ip}`, async () => {
      const found = await cluster.find<Pod>(`/api/v1/namespaces/default/pods/${pod}`);
      return found?.status?.hostIP === ip ? found : undefined;
    });
  const create = async (pod: string): Promise<void> => {
    const containers = [{ name: 'main', image: sampleImage, command: ['sleep', '1000000'] }];
    const spec = { nodeName: name, hostNetwork: true, terminationGracePeriodSeconds: 1, containers };
    await cluster.api('POST', '/api/v1/namespaces/default/pods', { metadata: { name: pod }, spec });
  };
  const remove = async (pod: string): Promise<void> => {
    await cluster.api('DELETE', `/api/v1/namespaces/default/pods/${pod}`);
    await node.until(`pod ${pod} is gone`, async () => {
      const found = await cluster.find<Pod>(`/api/v1/namespaces/default/pods/${pod}`);
      return found === undefined ? true : undefined;
    });
  };

  test('tells the new one, tells its pods, and asks for a certificate with it', async () => {
    const [first, second, third] = [2, 3, 4].map((last) => `${node.subnet}.${last}`) as [string, string, string];
    await node.until('it is told', async () => ((await internal()) === first ? true : undefined));
    await create('early');
    expect((await untilTold('early', first)).status?.podIP).toBe(first);
    // Nobody has decided on the first request when the address changes: the second does not wait for that.
    await requestFor(`DNS:${name}, IP Address:${first}`);
    await node.use(3);
    await node.until('the new one is told', async () => ((await internal()) === second ? true : undefined));
    const request = await requestFor(`DNS:${name}, IP Address:${second}`);
    const conditions = [{ type: 'Approved', status: 'True', reason: 'Test', message: 'approved' }];
    const approval = `${requestsPath}/${request.metadata?.name}/approval`;
    await cluster.api('PATCH', approval, { status: { conditions } });
    const held = join(node.world.dir, 'pki', 'kubelet-server-current.pem');
    const leaf = await node.until('the certificate', async () =>
      existsSync(held) ? new X509Certificate(await readFile(held)) : undefined,
    );
    expect(leaf.subjectAltName).toBe(`DNS:${name}, IP Address:${second}`);
    await create('late');
    expect((await untilTold('late', second)).status?.podIP).toBe(second);
    // What a pod on the host's network was once told as its own address stays, as a kubelet leaves it.
    expect((await untilTold('early', second)).status?.podIP).toBe(first);

    // A certificate that is in force is replaced as well.
    await node.use(4);
    await node.until('the third one is told', async () => ((await internal()) === third ? true : undefined));
    await requestFor(`DNS:${name}, IP Address:${third}`);
    await remove('early');
    await remove('late');
  }, 240_000);
});
