import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { openAgent, type Agent } from '../../../agent/open-agent.js';
import type { AgentConfig } from '../../../agent/config/agent-config.js';
import { defaultClusterSettings, type ClusterSettings } from '../../../agent/config/cluster-config.js';
import { systemClock, type Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { Pod, PodStatus } from '../../../agent/api/index.js';
import { explain } from '../../../agent/cli/why/explain.js';
import type { PodExplanation } from '../../../agent/serving/node-api/index.js';
import { nodeApiRoutes } from '../../../agent/serving/node-api/routes/index.js';
import { AgentWorld, sampleImage } from '../agent-world.js';
import type { TestControlPlane } from '../../support/control-plane.js';

export interface ClusterNode extends AsyncDisposable {
  readonly agent: Agent;
  readonly log: LogLines;
}

/** What the agent logged, for tests that ask whether it said why. */
export class LogLines {
  text = '';
  readonly logger: Logger;

  constructor() {
    const write = (line: string): void => {
      this.text += line;
    };
    this.logger = pino({ level: 'debug', base: null }, { write });
  }
}

/** Folders and network of one node of a cluster, and the agents that run on it one after another. */
export class NodeWorld implements AsyncDisposable {
  readonly name: string;
  readonly world: AgentWorld;
  readonly cluster: TestControlPlane;
  kubeconfig: string;
  #running: ClusterNode | undefined;

  private constructor(name: string, world: AgentWorld, cluster: TestControlPlane, kubeconfig: string) {
    this.name = name;
    this.world = world;
    this.cluster = cluster;
    this.kubeconfig = kubeconfig;
  }

  /** `name` is its own where none is given. */
  static async open(
    cluster: TestControlPlane,
    name = `node-${randomBytes(3).toString('hex')}`,
    change?: (config: AgentConfig) => AgentConfig,
  ): Promise<NodeWorld> {
    const world = await AgentWorld.open(change);
    return new NodeWorld(name, world, cluster, await cluster.nodeKubeconfig(name));
  }

  config(change: Partial<ClusterSettings> = {}): AgentConfig {
    const { config } = this.world;
    const cluster = {
      ...defaultClusterSettings(this.kubeconfig),
      certDir: join(config.paths.rootDir, 'pki'),
      nodeIps: ['127.0.0.1'],
      ...change,
    };
    const dns = { ...config.dns, servers: ['10.0.0.10'], domain: 'cluster.local' };
    return { ...config, nodeName: this.name, dns, cluster };
  }

  async start(change?: Partial<ClusterSettings>, clock: Clock = systemClock): Promise<ClusterNode> {
    const log = new LogLines();
    const agent = await openAgent(this.config(change), { log: log.logger, clock }, new AbortController().signal);
    let open = true;
    const node: ClusterNode = {
      agent,
      log,
      [Symbol.asyncDispose]: async () => {
        if (!open) return;
        open = false;
        await agent[Symbol.asyncDispose]();
      },
    };
    this.#running = node;
    return node;
  }

  pod(
    name: string,
    more: Record<string, unknown> = {},
    container: Record<string, unknown> = {},
  ): Record<string, unknown> {
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        nodeName: this.name,
        terminationGracePeriodSeconds: 1,
        automountServiceAccountToken: false,
        containers: [{ name: 'main', image: sampleImage, command: ['sleep', '1000000'], ...container }],
        ...more,
      },
    };
  }

  async create(pod: Record<string, unknown>): Promise<Pod> {
    return (await this.cluster.api('POST', '/api/v1/namespaces/default/pods', pod)).body;
  }

  async delete(name: string, options: object = {}): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...options };
    await this.cluster.api('DELETE', `/api/v1/namespaces/default/pods/${name}`, body);
  }

  /** Undefined when there is no such pod. */
  get(name: string): Promise<Pod | undefined> {
    return this.cluster.find<Pod>(`/api/v1/namespaces/default/pods/${name}`);
  }

  async untilPod(what: string, name: string, holds: (pod: Pod) => boolean, withinMs?: number): Promise<Pod> {
    let last: PodStatus | undefined;
    try {
      return await this.cluster.until(
        `pod ${name} ${what}`,
        async () => {
          const pod = await this.get(name);
          last = pod?.status;
          return pod && holds(pod) ? pod : undefined;
        },
        withinMs,
      );
    } catch (err) {
      const log = this.#running?.log.text.slice(-4000);
      throw new Error(`${String(err)}\nstatus: ${JSON.stringify(last)}\n${log}`, { cause: err });
    }
  }

  untilReady(name: string, withinMs?: number): Promise<Pod> {
    return this.untilPod('is ready', name, isReady, withinMs);
  }

  async untilGone(name: string, withinMs?: number): Promise<void> {
    let last: Pod | undefined;
    try {
      await this.cluster.until(
        `pod ${name} is gone`,
        async () => {
          last = await this.get(name);
          return last === undefined ? true : undefined;
        },
        withinMs,
      );
    } catch (err) {
      throw new Error(`${String(err)}\n${JSON.stringify(last)}\n${this.#running?.log.text.slice(-4000)}`, {
        cause: err,
      });
    }
  }

  /** Of agents that stopped while pods of theirs ran, and after a test that failed: an agent that nobody gives pods ends those it finds. */
  async #sweep(): Promise<void> {
    const { config } = this.world;
    const sources = { ...config.sources, manifestPath: undefined };
    const deps = { log: new LogLines().logger };
    await using _agent = await openAgent({ ...config, sources }, deps, new AbortController().signal);
    const gone = async (): Promise<true | undefined> =>
      (await this.world.leftovers()).length === 0 ? true : undefined;
    await this.cluster.until('what a failed test left is gone', gone, 30_000).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
    // A pod that runs does not go by itself: nobody waits for that.
    if (this.world.hasContainers() || (await this.world.leftovers()).length > 0) await this.#sweep();
    await this.world[Symbol.asyncDispose]();
  }
}

export const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

export const mainId = (pod: Pod | undefined): string | undefined => pod?.status?.containerStatuses?.[0]?.containerID;

/** What `berth why` says while the cluster cannot be used. */
export const told = (why: RegExp): RegExp =>
  new RegExp(`Between this node and its cluster:\\n  the cluster at https:\\S+ cannot be used: ${why.source}`);

/** What `berth why` prints of a pod of the default namespace. */
export async function whyOf(agent: Agent, name: string): Promise<string> {
  const route = nodeApiRoutes(agent).find(({ path }) => path === '/v1/pods/{namespace}/{name}/why');
  if (!route || !('handle' in route)) throw new Error('there is no such call');
  const request = { params: { namespace: 'default', name }, query: new URLSearchParams(), raw: undefined as never };
  const answer = await route.handle(request, new AbortController().signal);
  return explain('default', name, (answer as { value: PodExplanation }).value);
}
