import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import type { Event, Pod } from '../../../../agent/api/index.js';
import { sampleImage } from '../../agent-world.js';
import { ask, type Answer } from './https-client.js';
import { RealKubelet } from './real-kubelet.js';
import { WholeCluster } from './whole-cluster.js';

export const berth = 'by-berth';
export const theirs = 'by-kubelet';
export const both = [berth, theirs] as const;
export type NodeName = (typeof both)[number];

/** A pod in some state. */
export interface Case {
  readonly spec: Readonly<Record<string, unknown>>;
  /** When there is something to compare. */
  until(pod: Pod): boolean | undefined;
}

/** A container that runs a script. */
export const main = (script: string, more: object = {}): object => ({
  name: 'main',
  image: sampleImage,
  command: ['sh', '-c', script],
  ...more,
});
export const ended = ({ status }: Pod): boolean => status?.phase === 'Failed' || status?.phase === 'Succeeded';
export const isReady = ({ status }: Pod): boolean | undefined =>
  status?.conditions?.some(({ type, status: met }) => type === 'Ready' && met === 'True');
export const waitsFor =
  (reason: string) =>
  ({ status }: Pod): boolean =>
    status?.containerStatuses?.[0]?.state?.waiting?.reason === reason;

/** What one of the two says, without what may differ: names, ids, times, addresses. */
export const plain = (value: unknown, name: NodeName): unknown =>
  JSON.parse(
    JSON.stringify(value)
      .replaceAll(name, 'NODE')
      .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UID')
      .replaceAll(/(berth|containerd):\/\/[0-9a-f]{64}/g, 'ID')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/"10(\.\d+){3}"/g, '"IP"'),
  );

/** A cluster of an API server and two nodes that are asked the same: one is berth, the other Kubernetes' own kubelet. */
export class TwoNodes implements AsyncDisposable {
  readonly whole: WholeCluster;
  readonly kubelet: RealKubelet;
  readonly #client: { readonly cert: string; readonly key: string };

  private constructor(whole: WholeCluster, kubelet: RealKubelet, client: { cert: string; key: string }) {
    this.whole = whole;
    this.kubelet = kubelet;
    this.#client = client;
  }

  static async open(): Promise<TwoNodes> {
    const whole = await WholeCluster.open({ nodeName: berth, controllers: false });
    try {
      const kubelet = await RealKubelet.join(whole, theirs);
      const at = (name: string): Promise<string> => readFile(join(whole.cluster.dir, name), 'utf8');
      return new TwoNodes(whole, kubelet, {
        cert: await at('kubelet-client.crt'),
        key: await at('kubelet-client.key'),
      });
    } catch (err) {
      await whole[Symbol.asyncDispose]();
      throw err;
    }
  }

  /** A pod of each case on each node, named after both. */
  podsOf(cases: Readonly<Record<string, Case>>): readonly object[] {
    const usual = { terminationGracePeriodSeconds: 0, automountServiceAccountToken: false };
    return both.flatMap((nodeName) =>
      Object.entries(cases).map(([name, { spec }]) => ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `${name}-${nodeName}` },
        spec: { nodeName, ...usual, ...spec },
      })),
    );
  }

  async get<T>(path: string): Promise<T> {
    return (await this.whole.cluster.api('GET', path)).body as T;
  }

  async pod(node: NodeName, name: string): Promise<Pod> {
    return await this.get(`/api/v1/namespaces/default/pods/${name}-${node}`);
  }

  async asked(name: NodeName, path: string, method = 'GET'): Promise<Answer> {
    const { whole, kubelet } = this;
    const port = name === berth ? whole.kubeletPort : kubelet.port;
    const own = path.replaceAll('NODE', name);
    return await ask({ port, path: own, method, ...this.#client, options: { host: whole.nodeAddress } });
  }

  /** Each goes its own pace, and containers that crash start anew: from some moment on both say the same, or they never do. */
  async alike(told: (name: NodeName) => Promise<unknown>): Promise<void> {
    let said: readonly unknown[] = [];
    const look = async (): Promise<true | undefined> => {
      said = await Promise.all(both.map((name) => told(name)));
      return isDeepStrictEqual(said[0], said[1]) || undefined;
    };
    const failed = await this.whole.until('both say the same', look).then(
      () => undefined,
      (err: unknown) => err,
    );
    // Who gave no answer said nothing that could be compared.
    if (said.length < both.length) throw failed;
    expect(said[0]).toEqual(said[1]);
  }

  /** What is still missing after everything had the time to come; throws where that could not be asked. */
  async missingAtLast(look: () => Promise<readonly string[]>): Promise<readonly string[]> {
    let missing: readonly string[] | undefined;
    const failed = await this.whole
      .until(
        'nothing is missing',
        async () => {
          missing = await look();
          return missing.length === 0 || undefined;
          // What pods have on disk is counted once a minute.
        },
        90_000,
      )
      .then(
        () => undefined,
        (err: unknown) => err,
      );
    if (missing === undefined) throw failed;
    return missing;
  }

  /** Of one pod, as far as it is a node's to tell. */
  async told(node: NodeName, name: string): Promise<unknown> {
    const { metadata, spec, status } = await this.pod(node, name);
    const { resources = {}, startTime, containerStatuses = [], ...rest } = status ?? {};
    const { initContainerStatuses = [], podIP, ...others } = rest;
    const own = containerStatuses.concat(initContainerStatuses).map((each) => {
      // berth says what a container that is being created waits for.
      const creating = each.state?.waiting?.reason === 'ContainerCreating';
      const state = creating ? { waiting: { reason: 'ContainerCreating' } } : each.state;
      return { ...each, state, image: '', imageID: '' };
    });
    const { nodeName, tolerations } = spec ?? {};
    const started = startTime !== undefined;
    // What a pod held that is over depends on whether its cgroup was still there when a kubelet looked.
    const held = ended({ status: { phase: others.phase } }) ? {} : resources;
    const all = { ...others, resources: held, own, started, hasIp: podIP !== undefined, nodeName, tolerations };
    return plain({ ...all, generation: metadata?.generation }, node);
  }

  /** Of all pods and the node, in both nodes' words; how often each came depends on the moment. */
  async eventsOf(name: NodeName): Promise<ReadonlySet<string>> {
    const { items } = await this.get<{ items: Event[] }>('/api/v1/events');
    const own = items.filter(({ involvedObject }) => involvedObject.name?.endsWith(name) === true);
    const words = own.map(({ type, reason, involvedObject, message = '', source, reportingComponent }) => {
      // berth says how a probe's command ended that said nothing, and whose volume it is.
      const text = message
        .trim()
        .replace(/(probe failed:) command exited with \d+$/, '$1')
        .replace(/kubernetes\.io\/[\w-]+: /, '')
        .replaceAll(/\b10(\.\d+){3}\b/g, 'IP')
        .replaceAll(/used: \d+/g, 'used: some');
      const { kind, name: of, fieldPath = '' } = involvedObject;
      return [kind, of, fieldPath, type, reason, text, source?.component, reportingComponent].join(' | ');
    });
    return new Set(words.map((each) => String(plain(each, name))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kubelet[Symbol.asyncDispose]();
    await this.whole[Symbol.asyncDispose]();
  }
}
