import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Agent } from '../../agent/open-agent.js';
import { MetricsStore } from '../../agent/serving/index.js';
import {
  defaultKubeletApiSettings,
  openKubeletApi,
  reviewsOf,
  type KubeletApi,
} from '../../agent/serving/kubelet-api/index.js';
import { programSucceeded, runProgram, type ProgramResult } from '../../base/run-program.js';
import { NodeWorld, type ClusterNode } from '../controlplane/cluster-world.js';
import { assetsDir, freePorts, inlineUser, TestControlPlane } from '../support/control-plane.js';

const ours = join(assetsDir, 'kubectl');
export const kubectlProgram = existsSync(ours) ? ours : '/usr/bin/kubectl';

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

  /** The API server shows its nodes a client certificate of its own authority, as in every cluster. */
  static async open(): Promise<KubectlWorld> {
    const apiServerFlags: string[] = [];
    const cluster = await TestControlPlane.start({ apiServerFlags });
    const identity = await cluster.identity('kube-apiserver-kubelet-client', ['kubelet-clients']);
    const at = (name: string): string => join(cluster.dir, name);
    await writeFile(at('kubelet-client.crt'), identity.cert);
    await writeFile(at('kubelet-client.key'), identity.key);
    // Its authority is only known once it was there.
    apiServerFlags.push(
      `--kubelet-client-certificate=${at('kubelet-client.crt')}`,
      `--kubelet-client-key=${at('kubelet-client.key')}`,
      // Nobody resolves the names of these nodes.
      '--kubelet-preferred-address-types=InternalIP',
    );
    await cluster.stopApiServer();
    await cluster.startApiServer();
    await allowKubeletClients(cluster);
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
    const client = { port, ...identity };
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
    const end = { timeoutMs: 40_000, maxOutputBytes: 64 * 1024 * 1024 };
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
    const line = `stty rows 33 cols 91; ${argv.map((each) => `'${each}'`).join(' ')}`;
    return terminal
      ? new RunningProgram('script', ['-qefc', line, '/dev/null'], this.#env)
      : new RunningProgram(argv[0] ?? '', argv.slice(1), this.#env);
  }

  get #env(): Record<string, string> {
    return { PATH: '/usr/bin:/bin', HOME: this.cluster.dir, TERM: 'xterm' };
  }
}

const never = new AbortController().signal;

async function allowKubeletClients(cluster: TestControlPlane): Promise<void> {
  await cluster.api('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'kubelet-clients' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:kubelet-api-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'kubelet-clients' }],
  });
}

/** A program under way, with everything it printed so far. */
export class RunningProgram implements AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  text = '';
  readonly #closed: Promise<unknown>;

  constructor(program: string, args: readonly string[], env: Record<string, string>) {
    this.child = spawn(program, args, { env, stdio: 'pipe' });
    this.#closed = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
    this.child.stdin.on('error', () => {});
  }

  async until(text: string, withinMs = 20_000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!this.text.includes(text)) {
      if (Date.now() > deadline) throw new Error(`${JSON.stringify(text)} did not come: ${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Resolves with the exit code. */
  async ended(): Promise<number | null> {
    await this.#closed;
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#closed;
  }
}
