import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Agent, AgentPod } from '../../../../agent/agent.js';
import { defaultConfig } from '../../../../agent/config/agent-config.js';
import {
  defaultKubeletApiSettings,
  openKubeletApi,
  type AccessReviews,
  type KubeletApi,
  type KubeletApiSettings,
} from '../../../../agent/serving/kubelet-api/index.js';
import { MetricsStore } from '../../../../agent/serving/index.js';
import { criError, type RuntimeService, type StreamingService } from '../../../../cri/index.js';
import { LogLines } from './log-lines.js';

/** What a cluster knows of users: who has which token, who may use which subresource of nodes. */
export class KnownUsers implements AccessReviews {
  readonly tokens = new Map<string, string>();
  /** `*` is every subresource. */
  readonly rights = new Map<string, readonly string[]>();
  readonly asked: string[] = [];
  away = false;

  tokenReview(token: string): ReturnType<AccessReviews['tokenReview']> {
    this.asked.push(`token ${token}`);
    if (this.away) return Promise.reject(new Error('the cluster is away'));
    const username = this.tokens.get(token);
    return Promise.resolve(username === undefined ? undefined : { username, groups: [] });
  }

  subjectAccessReview(...[user, { verb, subresource }]: Parameters<AccessReviews['subjectAccessReview']>) {
    this.asked.push(`${user.username} ${verb} ${subresource}`);
    if (this.away) return Promise.reject(new Error('the cluster is away'));
    const rights = [user.username, ...user.groups].flatMap((each) => this.rights.get(each) ?? []);
    return Promise.resolve(rights.includes('*') || rights.includes(subresource));
  }
}

/** What of a runtime a test has an answer for. */
export interface SomeRuntime {
  readonly checkpointContainer?: RuntimeService['checkpointContainer'];
  readonly exec?: StreamingService['exec'];
}

type Change = (settings: KubeletApiSettings) => KubeletApiSettings;

/** The kubelet API over TLS, in front of an agent with the pods it is given and as much of a runtime. */
export class ServedApi implements AsyncDisposable {
  readonly dir: string;
  readonly users: KnownUsers;
  readonly log: LogLines;
  readonly #api: KubeletApi;

  private constructor(dir: string, users: KnownUsers, log: LogLines, api: KubeletApi) {
    this.dir = dir;
    this.users = users;
    this.log = log;
    this.#api = api;
  }

  static async open(
    clientCa: string | undefined,
    change: Change = (settings) => settings,
    pods: AgentPod[] = [],
    runtime: SomeRuntime = {},
  ) {
    const dir = await mkdtemp(join(tmpdir(), 'berth-kubelet-api-'));
    const caFile = join(dir, 'client-ca.crt');
    if (clientCa !== undefined) await writeFile(caFile, clientCa);
    const base = defaultKubeletApiSettings(join(dir, 'pki'), 0);
    const { authentication } = base;
    const settings = change({
      ...base,
      address: '127.0.0.1',
      nodeLogDir: join(dir, 'log'),
      authentication: { ...authentication, clientCaFile: clientCa === undefined ? undefined : caFile },
    });
    const users = new KnownUsers();
    const log = new LogLines();
    const deps = { log: log.logger, metrics: new MetricsStore(), reviews: users, usage: noUsage };
    const api = openKubeletApi(settings, agentWith(dir, pods, runtime), deps);
    await api.listening;
    return new ServedApi(dir, users, log, api);
  }

  get port(): number {
    return this.#api.address?.port ?? 0;
  }

  get readOnlyPort(): number {
    return this.#api.readOnlyAddress?.port ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}

const noUsage = {
  summary: () => Promise.resolve({ node: {}, pods: [] }),
  cadvisor: () => Promise.resolve('machine_cpu_cores 2\n'),
  resource: () => Promise.resolve('scrape_error 0\n'),
};

const noRuntime = (): Promise<never> => Promise.reject(criError('unavailable', 'there is no runtime'));

/** As much of an agent as the API asks for. */
function agentWith(dir: string, pods: readonly AgentPod[], { exec = noRuntime, ...runtime }: SomeRuntime): Agent {
  const base = defaultConfig('node-1', 2);
  const paths = { ...base.paths, rootDir: join(dir, 'root'), podLogsDir: join(dir, 'log', 'pods') };
  const agent = {
    config: { ...base, paths, devices: { ...base.devices, enabled: false } },
    host: { addresses: ['127.0.0.1'] },
    startedAt: Date.now(),
    runtime: { runtime, images: {}, streaming: { exec, attach: noRuntime, portForward: noRuntime } },
    pods: () => pods,
    pod: (uid: string) => pods.find((each) => each.uid === uid),
  };
  return agent as unknown as Agent;
}
