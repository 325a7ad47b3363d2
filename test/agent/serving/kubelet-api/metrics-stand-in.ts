import { createServer } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { ask } from './https-client.js';
import { TestAuthority } from '../../../support/test-authority.js';
import type { WholeCluster } from './whole-cluster.js';

/** What one scrape says: cumulative seconds and bytes, by what they are of, and when. */
interface Scrape {
  readonly at: number;
  readonly values: ReadonlyMap<string, number>;
}

const group = 'metrics.k8s.io';
const version = 'v1beta1';

/**
 * Does what metrics-server does, in small: scrapes `/metrics/resource` of the node with the token of an account that may read metrics and
 * nothing else, and serves `metrics.k8s.io` behind the API server, so that `kubectl top` has somebody to ask.
 */
export class MetricsStandIn implements AsyncDisposable {
  readonly #whole: WholeCluster;
  readonly #token: string;
  readonly #server: ReturnType<typeof createServer>;
  #scrapes: Scrape[] = [];

  private constructor(whole: WholeCluster, token: string, server: ReturnType<typeof createServer>) {
    this.#whole = whole;
    this.#token = token;
    this.#server = server;
  }

  static async open(whole: WholeCluster): Promise<MetricsStandIn> {
    const { cluster } = whole;
    const system = '/api/v1/namespaces/kube-system';
    await cluster.api('POST', `${system}/serviceaccounts`, { metadata: { name: 'metrics' } });
    await cluster.api('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      metadata: { name: 'metrics' },
      rules: [{ apiGroups: [''], resources: ['nodes/metrics'], verbs: ['get'] }],
    });
    const accounts = 'system:serviceaccounts:kube-system';
    await cluster.bind(accounts, 'metrics');
    await cluster.untilAllowed(
      { user: 'system:serviceaccount:kube-system:metrics', groups: [accounts] },
      { verb: 'get', resource: 'nodes', subresource: 'metrics', name: whole.nodeName },
    );
    const { body } = await cluster.api('POST', `${system}/serviceaccounts/metrics/token`, { spec: {} });
    const { token } = (body as { status: { token: string } }).status;
    const server = createServer(await (await TestAuthority.make('metrics')).issue('metrics', [], { use: 'server' }));
    const standIn = new MetricsStandIn(whole, token, server);
    server.on('request', (request, response) => {
      const answer = standIn.#answer((request.url ?? '').split('?')[0] ?? '');
      response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? {}));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await cluster.api('POST', `${system}/services`, {
      metadata: { name: 'metrics' },
      spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port }] },
    });
    await cluster.api('POST', '/apis/apiregistration.k8s.io/v1/apiservices', {
      metadata: { name: `${version}.${group}` },
      spec: {
        ...{ group, version, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true },
        service: { namespace: 'kube-system', name: 'metrics', port },
      },
    });
    return standIn;
  }

  /** The answer of the node, as it came. */
  async scrape(): Promise<string> {
    const { kubeletPort, nodeAddress } = this.#whole;
    const { status, text } = await ask({
      port: kubeletPort,
      path: '/metrics/resource',
      authorization: `Bearer ${this.#token}`,
      options: { host: nodeAddress },
    });
    if (status !== 200) throw new Error(`scrape: ${status} ${text}`);
    const values = new Map<string, number>();
    let at = 0;
    for (const line of text.split('\n')) {
      const found = /^(\w+?)(?:_seconds_total|_bytes)(?:\{(.*)\})? (\S+)(?: (\d+))?$/.exec(line);
      if (!found) continue;
      const labels = Object.fromEntries(
        [...(found[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map((pair) => [pair[1], pair[2]]),
      ) as Record<string, string>;
      const name = [found[1], labels['namespace'], labels['pod'], labels['container']].filter(Boolean).join(' ');
      values.set(name, Number(found[3]));
      at = Math.max(at, Number(found[4] ?? 0));
    }
    const last = this.#scrapes.at(-1);
    if (last?.at !== at) this.#scrapes = [...this.#scrapes.slice(-1), { at, values }];
    return text;
  }

  /** Two scrapes of different times: from then on there are rates. */
  get hasRates(): boolean {
    return this.#scrapes.length > 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #answer(path: string): object | undefined {
    const root = `/apis/${group}/${version}`;
    if (path === root)
      return {
        kind: 'APIResourceList',
        apiVersion: 'v1',
        groupVersion: `${group}/${version}`,
        resources: [
          { name: 'nodes', singularName: '', namespaced: false, kind: 'NodeMetrics', verbs: ['get', 'list'] },
          { name: 'pods', singularName: '', namespaced: true, kind: 'PodMetrics', verbs: ['get', 'list'] },
        ],
      };
    if (path === `${root}/nodes`) {
      const metadata = { name: this.#whole.nodeName };
      return this.#list('NodeMetricsList', [{ metadata, ...this.#times(), usage: this.#usage('node', '') }]);
    }
    return path.endsWith('/pods') ? this.#list('PodMetricsList', this.#pods()) : undefined;
  }

  #list(kind: string, items: readonly object[]): object {
    return { kind, apiVersion: `${group}/${version}`, metadata: {}, items };
  }

  #pods(): object[] {
    const keys = [...(this.#scrapes.at(-1)?.values.keys() ?? [])].filter((key) =>
      key.startsWith('container_cpu_usage '),
    );
    return keys.map((key) => {
      const [, namespace = '', pod = '', name = ''] = key.split(' ');
      const usage = this.#usage('container', ` ${namespace} ${pod} ${name}`);
      return { metadata: { namespace, name: pod }, ...this.#times(), containers: [{ name, usage }] };
    });
  }

  #usage(what: string, of: string): object {
    const [before, after] = this.#scrapes;
    const value = (scrape: Scrape | undefined, name: string): number => scrape?.values.get(`${what}_${name}${of}`) ?? 0;
    const seconds = ((after?.at ?? 1) - (before?.at ?? 0)) / 1000;
    const cores = (value(after, 'cpu_usage') - value(before, 'cpu_usage')) / seconds;
    return { cpu: `${Math.round(cores * 1e9)}n`, memory: `${Math.round(value(after, 'memory_working_set') / 1024)}Ki` };
  }

  #times(): object {
    return { timestamp: new Date(this.#scrapes.at(-1)?.at ?? 0).toISOString().replace(/\.\d+/, ''), window: '10s' };
  }
}
