import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Agent } from '../../../../agent/open-agent.js';
import { MetricsStore } from '../../../../agent/serving/index.js';
import {
  defaultKubeletApiSettings,
  openKubeletApi,
  reviewsOf,
  type KubeletApi,
} from '../../../../agent/serving/kubelet-api/index.js';
import { programSucceeded, runProgram, type ProgramResult } from '../../../../base/run-program.js';
import { NodeWorld, type ClusterNode } from '../../controlplane/cluster-world.js';
import { RunningProgram } from './running-program.js';
import { kubectlProgram } from './whole-cluster.js';
import { TestControlPlane } from '../../../support/control-plane.js';
import { freePorts } from '../../../support/free-ports.js';
import { inlineUser } from '../../../support/kubeconfig.js';

/** A real API server, a node of it that serves the kubelet API, and kubectl. */
export class KubectlWorld implements AsyncDisposable {
  readonly cluster: TestControlPlane;
  readonly node: NodeWorld;
  readonly agent: Agent;
  /** How the API server reaches the node. */
  readonly client: { readonly port: number; readonly cert: string; readonly key: string };
  readonly log: ClusterNode['log'];
  readonly #kubeconfig: string;
  readonly #owned: readonly AsyncDisposable[];

  private constructor(
    cluster: TestControlPlane,
    node: NodeWorld,
    running: ClusterNode,
    api: KubeletApi,
    client: KubectlWorld['client'],
    kubeconfig: string,
  ) {
    this.cluster = cluster;
    this.node = node;
    this.agent = running.agent;
    this.log = running.log;
    this.client = client;
    this.#kubeconfig = kubeconfig;
    this.#owned = [api, running, node, cluster];
  }

  static async open(): Promise<KubectlWorld> {
    const cluster = await TestControlPlane.start({ kubeletClient: true });
    const at = (name: string): string => join(cluster.dir, name);
    const [cert, key] = await Promise.all(
      ['kubelet-client.crt', 'kubelet-client.key'].map((name) => readFile(at(name), 'utf8')),
    );
    const [port = 0] = await freePorts(1);
    const node = await NodeWorld.open(cluster);
    const running = await node.start({ kubeletPort: port });
    const settings = {
      ...defaultKubeletApiSettings(join(node.world.dir, 'pki'), port),
      address: '127.0.0.1',
      nodeLogDir: join(node.world.dir, 'logs'),
    };
    const { agent, log } = running;
    const api = openKubeletApi(
      { ...settings, authentication: { ...settings.authentication, clientCaFile: at('ca.crt') } },
      agent,
      { log: log.logger, metrics: new MetricsStore(), reviews: reviewsOf(agent.controlPlane) },
    );
    await api.listening;
    const client = { port, cert: cert ?? '', key: key ?? '' };
    const admin = await cluster.identity('test-admin', ['system:masters']);
    return new KubectlWorld(cluster, node, running, api, client, await cluster.kubeconfig('admin', inlineUser(admin)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.#owned) await each[Symbol.asyncDispose]();
  }

  /** Runs kubectl to its end. */
  async try(
    args: readonly string[],
    stdin?: string | Uint8Array,
    more: Record<string, string> = {},
  ): Promise<ProgramResult> {
    const argv = [kubectlProgram, `--kubeconfig=${this.#kubeconfig}`, ...args] as [string, ...string[]];
    const end = { timeoutMs: 100_000, maxOutputBytes: 64 * 1024 * 1024 };
    return await runProgram(
      { argv, env: { ...this.#env, ...more }, ...end, ...(stdin !== undefined && { stdin }) },
      never,
    );
  }

  /** Its standard output; rejects when it fails. */
  async kubectl(args: readonly string[], stdin?: string | Uint8Array): Promise<string> {
    const result = await this.try(args, stdin);
    if (!programSucceeded(result)) {
      const said = `${JSON.stringify(result.end)} ${result.stdout.toString()} ${result.stderr}`;
      throw new Error(`kubectl ${args.join(' ')}: ${said}\n${this.log.text.slice(-3000)}`);
    }
    return result.stdout.toString();
  }

  /** kubectl that goes on; with a terminal it runs under `script`. */
  start(args: readonly string[], { terminal = false } = {}): RunningProgram {
    const argv = [kubectlProgram, `--kubeconfig=${this.#kubeconfig}`, ...args];
    return RunningProgram.start(argv, this.#env, terminal);
  }

  get #env(): Record<string, string> {
    return { PATH: '/usr/bin:/bin', HOME: this.cluster.dir, TERM: 'xterm' };
  }
}

const never = new AbortController().signal;
