import { randomBytes } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Pod } from '../../../../agent/api/index.js';
import { programSucceeded, runProgram, type ProgramResult } from '../../../../base/run-program.js';
import { AgentWorld } from '../../agent-world.js';
import { assetsDir, hasControlPlane, TestControlPlane } from '../../../support/control-plane.js';
import { freePorts } from '../../../support/free-ports.js';
import { inlineUser } from '../../../support/kubeconfig.js';
import { hostProgram, tryHostProgram } from '../../../support/host-program.js';
import { RunningProgram } from './running-program.js';

const ours = join(assetsDir, 'kubectl');
export const kubectlProgram = existsSync(ours) ? ours : '/usr/bin/kubectl';
const distRoot = process.env['BERTH_TEST_DIST'] ?? fileURLToPath(new URL('../../../../dist', import.meta.url));
export const berthMain = join(distRoot, 'agent/cli/main.js');
const never = new AbortController().signal;

/** True where a whole cluster can be started: the control plane with its controllers, kubectl, and the compiled agent. */
export function hasWholeCluster(): boolean {
  const programs = ['kube-controller-manager', 'kube-scheduler'].map((name) => join(assetsDir, name));
  return hasControlPlane() && [...programs, kubectlProgram, berthMain].every((path) => existsSync(path));
}

export interface WholeClusterOptions {
  readonly nodeName: string;
  /** Fields of the node's KubeletConfiguration besides those that every test needs. */
  readonly kubelet?: Readonly<Record<string, unknown>>;
  readonly flags?: readonly string[];
  /** False: an API server alone, pods are bound by whoever makes them, and the node has its certificate already. */
  readonly controllers?: boolean;
  /** Keeps an audit log, for those who count requests. */
  readonly audit?: boolean;
  readonly logLevel?: string;
}

const nodeBridge = ({ bridge }: AgentWorld): string => `${bridge}n`;

/**
 * An ordinary cluster: API server, controllers, scheduler, and one node, on which `berth agent` runs as a process of its own with a
 * kubelet's configuration file and a bootstrap kubeconfig. What a person does in it is done with kubectl.
 */
export class WholeCluster implements AsyncDisposable {
  readonly cluster: TestControlPlane;
  readonly world: AgentWorld;
  readonly nodeName: string;
  readonly kubeletPort: number;
  /** The API server does not pass anybody on to a loopback address: the node has one on a bridge of its own. */
  readonly nodeAddress: string;
  readonly #admin: string;
  readonly #flags: readonly string[];
  #agent: ChildProcess | undefined;
  log = '';

  private constructor(
    cluster: TestControlPlane,
    world: AgentWorld,
    nodeName: string,
    kubeletPort: number,
    nodeAddress: string,
    admin: string,
    flags: readonly string[],
  ) {
    this.cluster = cluster;
    this.world = world;
    this.nodeName = nodeName;
    this.kubeletPort = kubeletPort;
    this.nodeAddress = nodeAddress;
    this.#admin = admin;
    this.#flags = flags;
  }

  /** Resolves when the agent runs; the node need not be there yet. */
  static async open(options: WholeClusterOptions): Promise<WholeCluster> {
    const { nodeName, kubelet = {}, flags = [], controllers = true, audit = false, logLevel = 'debug' } = options;
    const parts = { scheduler: controllers, controllerManager: controllers, kubeletClient: true, audit };
    const [cluster, world] = await Promise.all([TestControlPlane.start(parts), AgentWorld.open()]);
    const [kubeletPort = 0] = await freePorts(1);
    const { paths, cgroups } = world.config;
    const bridge = nodeBridge(world);
    const nodeAddress = `10.209.${randomBytes(1)[0]}.1`;
    await hostProgram(['ip', 'link', 'add', bridge, 'type', 'bridge']);
    await hostProgram(['ip', 'address', 'add', `${nodeAddress}/32`, 'dev', bridge]);
    await hostProgram(['ip', 'link', 'set', bridge, 'up']);
    await mkdir(paths.rootDir, { recursive: true });
    const config = join(world.dir, 'kubelet.yaml');
    const configuration = {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      address: nodeAddress,
      port: kubeletPort,
      healthzPort: 0,
      authentication: { x509: { clientCAFile: join(cluster.dir, 'ca.crt') } },
      clusterDNS: ['10.0.0.10'],
      clusterDomain: 'cluster.local',
      cgroupRoot: cgroups.root,
      podLogsDir: paths.podLogsDir,
      volumePluginDir: paths.volumePluginDir,
      staticPodPath: join(world.dir, 'manifests'),
      rotateCertificates: true,
      ...kubelet,
    };
    const own = { apiVersion: 'berth/v1', kind: 'BerthConfiguration', cniBinDirs: paths.cniBinDirs };
    await writeFile(config, `${stringify(configuration)}---\n${stringify(own)}`);
    const admin = await cluster.kubeconfig(
      'admin',
      inlineUser(await cluster.identity('test-admin', ['system:masters'])),
    );
    const credentials = controllers
      ? {
          kubeconfig: join(world.dir, 'kubelet.kubeconfig'),
          'bootstrap-kubeconfig': await cluster.bootstrapKubeconfig(),
        }
      : { kubeconfig: await cluster.nodeKubeconfig(nodeName) };
    const named = {
      config,
      ...credentials,
      'hostname-override': nodeName,
      'node-ip': nodeAddress,
      'root-dir': paths.rootDir,
      'state-dir': paths.stateDir,
      'run-dir': paths.runDir,
      'cni-conf-dir': paths.cniConfDir,
      'log-level': logLevel,
    };
    const all = [...Object.entries(named).map(([name, value]) => `--${name}=${value}`), ...flags];
    const whole = new WholeCluster(cluster, world, nodeName, kubeletPort, nodeAddress, admin, all);
    whole.startAgent();
    return whole;
  }

  get agentPid(): number {
    return this.#agent?.pid ?? 0;
  }

  startAgent(): void {
    const own = process.env['BERTH_TEST_NODE_FLAGS']?.split(' ') ?? [];
    const agent = spawn(process.execPath, [...own, berthMain, 'agent', ...this.#flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    for (const stream of [agent.stdout, agent.stderr])
      stream.on('data', (chunk: Buffer) => (this.log += chunk.toString()));
    this.#agent = agent;
  }

  /** SIGTERM leaves containers running, as SIGKILL does. */
  async stopAgent(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    const ended = once(agent, 'exit');
    agent.kill(signal);
    await ended;
  }

  /** Runs kubectl to its end. */
  async try(args: readonly string[], stdin?: string | Uint8Array, timeoutMs = 100_000): Promise<ProgramResult> {
    const argv = [kubectlProgram, `--kubeconfig=${this.#admin}`, ...args] as [string, ...string[]];
    const end = { timeoutMs, maxOutputBytes: 64 * 1024 * 1024 };
    return await runProgram({ argv, env: this.#env, ...end, ...(stdin !== undefined && { stdin }) }, never);
  }

  /** Its standard output; rejects when it fails. */
  async kubectl(args: readonly string[], stdin?: string | Uint8Array): Promise<string> {
    const result = await this.try(args, stdin);
    if (programSucceeded(result)) return result.stdout.toString();
    const said = `${JSON.stringify(result.end)} ${result.stdout.toString()} ${result.stderr}`;
    throw new Error(`kubectl ${args.join(' ')}: ${said}\n${this.log.slice(-3000)}`);
  }

  async apply(...objects: readonly object[]): Promise<void> {
    await this.kubectl(['apply', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n'));
  }

  /** What a JSONPath shows of objects: `pods -l app=web`. */
  async column(what: string, path: string): Promise<string> {
    return await this.kubectl(['get', ...what.split(' '), '-o', `jsonpath=${path}`]);
  }

  /** The names of the pods with a label that run and are not told to end. */
  async running(label: string): Promise<string[]> {
    const { items } = JSON.parse(await this.kubectl(['get', 'pods', '-l', label, '-o', 'json'])) as { items: Pod[] };
    return items
      .filter(({ metadata, status }) => !metadata?.deletionTimestamp && status?.phase === 'Running')
      .map(({ metadata }) => metadata?.name ?? '');
  }

  /** `berth` of this node. */
  async berth(...args: readonly string[]): Promise<string> {
    const socket = join(this.world.config.paths.runDir, 'berth.sock');
    const [command = '', ...rest] = args;
    const argv: [string, ...string[]] = [process.execPath, berthMain, command, '--socket', socket, ...rest];
    const result = await runProgram({ argv, env: this.#env, timeoutMs: 60_000 }, never);
    return `${result.stdout.toString()}${result.stderr}`;
  }

  /** kubectl that goes on; with a terminal it runs under `script`. */
  start(args: readonly string[], { terminal = false } = {}): RunningProgram {
    const argv = [kubectlProgram, `--kubeconfig=${this.#admin}`, ...args];
    return RunningProgram.start(argv, this.#env, terminal);
  }

  async until<T>(what: string, look: () => Promise<T | undefined>, withinMs = 60_000): Promise<T> {
    try {
      return await this.cluster.until(what, look, withinMs);
    } catch (err) {
      throw new Error(`${String(err)}\n${this.log.slice(-4000)}`, { cause: err });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAgent();
    await tryHostProgram(['ip', 'link', 'delete', nodeBridge(this.world)]);
    await this.world[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }

  get #env(): Record<string, string> {
    return { PATH: '/usr/bin:/bin', HOME: this.cluster.dir, TERM: 'xterm' };
  }
}
