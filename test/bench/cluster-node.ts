import { request } from 'node:http';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { runProgram } from '../../base/run-program.js';
import type { Pod } from '../../agent/api/index.js';
import type { RecordedCall } from '../../agent/recorder/recorded-call.js';
import { ApiClient, readKubeconfig, reflect } from '../../agent/controlplane/kubernetes/client/index.js';
import { inlineUser } from '../support/kubeconfig.js';
import type { WholeCluster } from '../agent/serving/kubelet-api/whole-cluster.js';

/** What a watcher of the API saw of one pod; milliseconds of the wall clock. */
export interface SeenPod {
  readonly uid: string;
  /** Of its one container, as the runtime knows it. */
  readonly containerId: string;
  readonly readyAt: number;
}

/** Watches all pods as an operator does, and notes when each became Ready. */
export class PodWatcher implements AsyncDisposable {
  readonly seen = new Map<string, SeenPod>();
  readonly #client: ApiClient;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #present = 0;

  private constructor(client: ApiClient) {
    this.#client = client;
    const there = new Set<string>();
    const look = ({ metadata, status }: Pod): void => {
      const name = metadata?.name ?? '';
      there.add(name);
      this.#present = there.size;
      const ready = status?.conditions?.some(({ type, status: met }) => type === 'Ready' && met === 'True') === true;
      const containerId = status?.containerStatuses?.[0]?.containerID?.split('://')[1] ?? '';
      if (ready && !this.seen.has(name))
        this.seen.set(name, { uid: metadata?.uid ?? '', containerId, readyAt: Date.now() });
    };
    this.#running = reflect<Pod>(
      { path: '/api/v1/pods' },
      {
        replaced: (items) => items.forEach(look),
        changed: look,
        removed: ({ metadata }) => {
          there.delete(metadata?.name ?? '');
          this.#present = there.size;
        },
      },
      { client, clock: systemClock, log: silentLogger },
      this.#stop.signal,
    ).catch(() => {});
  }

  static async open(whole: WholeCluster): Promise<PodWatcher> {
    const { cluster } = whole;
    const user = inlineUser(await cluster.identity('watcher', ['system:masters']));
    const config = await readKubeconfig(await cluster.kubeconfig('watcher', user));
    return new PodWatcher(
      new ApiClient(config, { userAgent: 'bench' }, { clock: systemClock, log: silentLogger, run: runProgram }),
    );
  }

  /** Pods there are now. */
  get present(): number {
    return this.#present;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#client[Symbol.asyncDispose]();
  }
}

/** When the last recorded call for a pod or its container ended, by uid or container id; milliseconds of the wall clock. */
export async function lastCallEnds(socketPath: string): Promise<ReadonlyMap<string, number>> {
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request({ socketPath, path: '/v1/calls' }, (response) => {
      let all = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (all += chunk));
      response.once('end', () => resolve(all));
    });
    asked.once('error', reject);
    asked.end();
  });
  const ends = new Map<string, number>();
  for (const { call, startedAt, durationMs } of (JSON.parse(text) as { items: RecordedCall[] }).items) {
    for (const of of [call.subject.podUid, call.subject.object])
      if (of !== undefined && durationMs !== undefined)
        ends.set(of, Math.max(ends.get(of) ?? 0, startedAt + durationMs));
  }
  return ends;
}
