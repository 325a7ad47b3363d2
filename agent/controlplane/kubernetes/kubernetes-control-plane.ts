import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import type { RunProgram } from '../../../base/run-program.js';
import {
  isStaticPod,
  podKey,
  podUidOf,
  type CSINode,
  type Event,
  type Lease,
  type Node,
  type PersistentVolumeClaim,
  type Pod,
  type PodStatus,
  type TokenRequest,
} from '../../api/index.js';
import {
  ControlPlaneError,
  type ClaimGrowth,
  type ControlPlane,
  type NodeMarks,
  type PodSnapshot,
  type ReadableKind,
  type ReadableObjects,
} from '../control-plane.js';
import { Recovery, sleepUntilRecovery } from '../recovery.js';
import type { Accumulator } from '../../serving/metrics/accumulators.js';
import type { ClusterTrustBundle, PodCertificateRequest } from '../certificate-objects.js';
import type { Sealer } from '../local/sealed-file.js';
import {
  rotatingServingCertificate,
  type CertificateStore,
  type RotatingCertificate,
  type RotatingDeps,
} from '../certificates/index.js';
import { ApiClient, Backoff, RequestCounts, statusOf } from './client/index.js';
import { claimGrowthPatch } from './claim-growth-patch.js';
import type { ClusterAccess } from './cluster-access.js';
import { EventWriter } from './event-writer.js';
import { LastKnown } from './last-known.js';
import { MirrorPods } from './mirror-pods.js';
import { ApiObjectWatches } from './object-watches.js';
import { OwnNode } from './own-node.js';
import { PodCache } from './pod-cache.js';
import { PodFeed } from './pod-feed.js';
import { PodStatusWriter } from './pod-status-writer.js';
import { ReadObjects } from './read-objects.js';
import { listPath, objectPath, tokenPath, trustBundlePaths } from './resource-paths.js';
import { servingNames } from './serving-names.js';
import { translated } from './to-control-plane-error.js';
import { WatchedKind, type WatchedKindDeps } from './watched-kind.js';

export interface KubernetesOptions {
  readonly nodeName: string;
  readonly access: ClusterAccess;
  /** Folder of the sealed copy of what the server last said. */
  readonly lastKnownDir: string;
  readonly userAgent: string;
  /** Asks the cluster for the certificate of the node's own API, as soon as the node's addresses are known. */
  readonly serving: CertificateStore | undefined;
  readonly events: { readonly perSecond: number; readonly burst: number };
}

export interface KubernetesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly run: RunProgram;
  readonly sealer: Sealer;
}

/** A Kubernetes API server, as the agent needs it. What it last said survives on disk; a server that is away stops nothing. */
export class KubernetesControlPlane implements ControlPlane {
  readonly description: string;
  readonly counts: readonly Accumulator[];
  readonly client: ApiClient;
  readonly #heartbeat: ApiClient;
  readonly #deps: KubernetesDeps;
  readonly #lastKnown: LastKnown;
  readonly #cache: PodCache;
  readonly #statuses: PodStatusWriter;
  readonly #node: OwnNode;
  readonly #feed: PodFeed;
  readonly #mirrors: MirrorPods;
  readonly #events: EventWriter;
  readonly #watches: ApiObjectWatches;
  readonly #objects: ReadObjects;
  readonly #kinds: WatchedKinds;
  readonly #access: ClusterAccess;
  readonly #serving: RotatingCertificate | undefined;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];

  private constructor(
    { nodeName, access, userAgent, events, serving }: KubernetesOptions,
    lastKnown: LastKnown,
    deps: KubernetesDeps,
  ) {
    const { clock, log } = deps;
    const { cluster } = access;
    this.#access = access;
    this.#deps = deps;
    this.#lastKnown = lastKnown;
    this.description = `the cluster at ${cluster.server}`;
    const counts = new RequestCounts(cluster.server, clock);
    const recovery = new Recovery();
    this.client = new ApiClient(cluster, { userAgent }, { ...deps, counts, recovery });
    this.#heartbeat = new ApiClient(
      cluster,
      { userAgent },
      { ...deps, counts, recovery, log: log.child({ client: 'heartbeat' }) },
    );
    const { client } = this;
    this.#cache = new PodCache(clock);
    this.#statuses = new PodStatusWriter({ client, cache: this.#cache, clock });
    this.#node = new OwnNode(nodeName, { client, heartbeat: this.#heartbeat, clock, log, lastKnown });
    this.#feed = new PodFeed(nodeName, {
      ...{ client, clock, log, lastKnown },
      cache: this.#cache,
      statuses: this.#statuses,
      node: this.#node,
    });
    const node = (): Node | undefined => (this.#node.synced ? this.#node.current : undefined);
    this.#mirrors = new MirrorPods({ client, cache: this.#cache, statuses: this.#statuses, clock, log, node });
    this.#events = new EventWriter(events, { client, clock, log });
    this.#watches = new ApiObjectWatches({ client, clock, log });
    this.#objects = new ReadObjects({
      client,
      clock,
      log,
      lastKnown,
      watches: this.#watches,
      pods: () => this.#cache.all(),
    });
    this.#kinds = watchedKinds(nodeName, { client, clock, log, lastKnown });
    if (serving) {
      const names: RotatingDeps['names'] = () => servingNames(this.#node.current);
      this.#serving = rotatingServingCertificate(nodeName, { api: client, store: serving, clock, log, names });
      this.#node.onChange(() => this.#serving?.check());
    }
    this.counts = [...counts.all, ...(access.clientCertificate?.counts ?? []), ...(this.#serving?.counts ?? [])];
    this.#cache.onMirrors(() => this.#mirrors.changed());
    this.#node.onChange(() => this.#mirrors.changed());
  }

  /** Returns at once, whether the server answers or not; the rest happens in the background. */
  static async open(options: KubernetesOptions, deps: KubernetesDeps): Promise<KubernetesControlPlane> {
    const lastKnown = await LastKnown.open(options.lastKnownDir, deps);
    const controlPlane = new KubernetesControlPlane(options, lastKnown, deps);
    await options.access.keep(controlPlane.client);
    await controlPlane.#serving?.start();
    controlPlane.#start();
    return controlPlane;
  }

  #start(): void {
    const { signal } = this.#stop;
    this.#run(
      'own node',
      this.#node.run(() => this.#feed.serverFailed(), signal),
    );
    this.#run('pods', this.#feed.run(this.#node.known, signal));
    this.#run('services', this.#objects.run(signal));
    this.#run('mirror pods', this.#mirrors.run(signal));
  }

  get reachable(): boolean {
    return this.client.reachability.reachable;
  }

  /** What is wrong between the node and its cluster, a sentence each; empty while all is well. */
  get problems(): readonly string[] {
    const { reachable, problem } = this.client.reachability;
    const certificates = [this.#access.clientCertificate?.problem, this.#serving?.problem];
    const server = reachable || problem === '' ? '' : `${this.description} cannot be used: ${problem}`;
    return [server, ...certificates, this.#feed.problem, this.#node.problem].filter(
      (each) => each !== undefined && each !== '',
    ) as string[];
  }

  onRecovery(listener: () => void): Disposable {
    return this.client.onRecovery(listener);
  }

  /** Keeps the certificate of the node's own API, where the cluster issues it. */
  get servingCertificate(): RotatingCertificate | undefined {
    return this.#serving;
  }

  watchPods(onSnapshot: (snapshot: PodSnapshot) => void): Disposable {
    return this.#cache.subscribe(onSnapshot);
  }

  setStaticPods(pods: readonly Pod[]): void {
    this.#mirrors.set(pods);
  }

  async get<K extends ReadableKind>(
    kind: K,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<ReadableObjects[K] | undefined> {
    const own = kind === 'Node' && name === this.#node.name;
    if (own && (this.#node.synced || this.#node.current)) return this.#node.current as ReadableObjects[K] | undefined;
    if (kind === 'Pod') {
      const known = this.#cache.named(namespace, name);
      if (known) return known as ReadableObjects[K];
    }
    const watched = this.#watchedKind(kind);
    if (watched) return (await watched.get(namespace, name, signal)) as ReadableObjects[K] | undefined;
    return await translated(() => this.#objects.get(kind, namespace, name, signal), signal);
  }

  async list<K extends ReadableKind>(
    kind: K,
    namespace: string,
    signal: AbortSignal,
  ): Promise<readonly ReadableObjects[K][]> {
    const watched = this.#watchedKind(kind);
    if (watched) return (await watched.list(signal)) as readonly unknown[] as readonly ReadableObjects[K][];
    return await translated(() => this.#objects.list(kind, namespace, signal), signal);
  }

  watch(kind: ReadableKind, namespace: string, name: string, onChange: () => void): Disposable {
    if (kind === 'Node' && name === this.#node.name) return this.#node.onChange(onChange);
    const watched = this.#watchedKind(kind);
    if (watched) return watched.watch(namespace, name, onChange);
    return this.#watches.watch(kind, namespace, name, onChange);
  }

  async createToken(
    namespace: string,
    serviceAccount: string,
    request: TokenRequest,
    signal: AbortSignal,
  ): Promise<TokenRequest> {
    const path = tokenPath(namespace, serviceAccount);
    return await translated(
      () => this.client.json<TokenRequest>({ method: 'POST', path, body: request }, signal),
      signal,
    );
  }

  async createPodCertificateRequest(
    namespace: string,
    request: PodCertificateRequest,
    signal: AbortSignal,
  ): Promise<PodCertificateRequest> {
    const path = listPath('PodCertificateRequest', namespace);
    return await translated(
      () => this.client.json<PodCertificateRequest>({ method: 'POST', path, body: request }, signal),
      signal,
    );
  }

  async writePodStatus(pod: Pod, status: PodStatus, signal: AbortSignal): Promise<void> {
    if (isStaticPod(pod)) return this.#mirrors.report(pod, status);
    await translated(() => this.#statuses.write(pod, status, false, signal), signal);
  }

  async confirmDeletion(pod: Pod, status: PodStatus | undefined, signal: AbortSignal): Promise<void> {
    if (isStaticPod(pod)) return this.#mirrors.gone(pod);
    const backoff = new Backoff({ firstMs: 500, maxMs: 15_000 });
    const onStop = this.#stop.signal;
    while (!signal.aborted && !onStop.aborted) {
      try {
        return await this.#confirm(pod, status, onStop);
      } catch (err) {
        if (onStop.aborted || signal.aborted) return;
        const retryInMs = backoff.next();
        this.#deps.log.warn(
          { pod: podKey(pod), err: errorText(err), retryInMs },
          'pod deletion could not be confirmed',
        );
        await sleepUntilRecovery(retryInMs, this.client, this.#deps.clock, onStop).catch(() => {});
      }
    }
  }

  writeEvent(event: Event): Promise<void> {
    this.#events.write(event);
    return Promise.resolve();
  }

  async registerNode(node: Node, signal: AbortSignal): Promise<Node> {
    return await translated(() => this.#node.register(node, signal), signal);
  }

  async writeNodeStatus(node: Node, signal: AbortSignal): Promise<Node> {
    return await translated(() => this.#node.writeStatus(node, signal), signal);
  }

  get volumesInUse(): readonly string[] {
    return this.#node.volumesInUse();
  }

  followVolumesInUse(read: () => readonly string[]): void {
    this.#node.volumesInUse = read;
  }

  async reportVolumesInUse(signal: AbortSignal): Promise<void> {
    await translated(() => this.#node.reportVolumesInUse(signal), signal);
  }

  async reportClaimGrowth(claim: PersistentVolumeClaim, growth: ClaimGrowth, signal: AbortSignal): Promise<void> {
    const { namespace = 'default', name = '' } = claim.metadata ?? {};
    const path = `${objectPath('PersistentVolumeClaim', namespace, name)}/status`;
    const body = claimGrowthPatch(claim, growth, this.#deps.clock.now());
    await translated(
      () => this.client.json({ method: 'PATCH', path, body, bodyType: 'strategic-merge-patch' }, signal),
      signal,
    );
  }

  async markNode(marks: NodeMarks, signal: AbortSignal): Promise<void> {
    await translated(() => this.#node.mark(marks, signal), signal);
  }

  async removeResourceSlices(driver: string | undefined, signal: AbortSignal): Promise<void> {
    await translated(() => this.#node.removeResourceSlices(driver, signal), signal);
  }

  async renewLease(lease: Lease, signal: AbortSignal): Promise<Lease> {
    try {
      return await translated(() => this.#node.renewLease(lease, signal), signal);
    } catch (err) {
      // A heartbeat that gets no answer is how a connection that died in silence is noticed.
      if (err instanceof ControlPlaneError && err.failure.code === 'unavailable') {
        this.#heartbeat.reset('a heartbeat was not answered');
        this.client.reset('a heartbeat was not answered');
      }
      throw err;
    }
  }

  async writeCsiNode(csiNode: CSINode, signal: AbortSignal): Promise<void> {
    await translated(() => this.#node.writeCsiNode(csiNode, signal), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    const { ClusterTrustBundle: bundles, PodCertificateRequest: requests } = this.#kinds;
    const ending = [this.#events, this.#watches, bundles, requests].map((each) => each[Symbol.asyncDispose]());
    await Promise.all([...this.#running, ...ending]);
    await this.#lastKnown[Symbol.asyncDispose]();
    await this.#access[Symbol.asyncDispose]();
    await this.#serving?.[Symbol.asyncDispose]();
    await Promise.all([this.client[Symbol.asyncDispose](), this.#heartbeat[Symbol.asyncDispose]()]);
  }

  async #confirm(pod: Pod, status: PodStatus | undefined, signal: AbortSignal): Promise<void> {
    const { namespace = '', name = '', uid } = pod.metadata ?? {};
    try {
      if (status) await this.#statuses.write(pod, status, false, signal);
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid } };
      await this.client.json({ method: 'DELETE', path: objectPath('Pod', namespace, name), body }, signal);
    } catch (err) {
      const isGone = statusOf(err) === 404 || (err instanceof ControlPlaneError && err.failure.code === 'not-found');
      // The server has told of all pods, and this one is no longer among them: then it refuses calls about it.
      const isKnownGone = this.#cache.synced && this.#cache.get(podUidOf(pod)) === undefined;
      if (!isGone && !isKnownGone) throw err;
    }
    this.#statuses.forget(podUidOf(pod));
  }

  #watchedKind(kind: ReadableKind): WatchedKind<ClusterTrustBundle | PodCertificateRequest> | undefined {
    return isWatchedAsOne(kind) ? this.#kinds[kind] : undefined;
  }

  #run(what: string, work: Promise<void>): void {
    this.#running.push(
      work.catch((err: unknown) => {
        if (!this.#stop.signal.aborted)
          this.#deps.log.error({ what, err: errorText(err) }, 'a watch of the API server ended');
      }),
    );
  }
}

/** Kinds of which a node may not watch single objects, or of which pods use what matches. */
interface WatchedKinds {
  readonly ClusterTrustBundle: WatchedKind<ClusterTrustBundle>;
  readonly PodCertificateRequest: WatchedKind<PodCertificateRequest>;
}

const isWatchedAsOne = (kind: ReadableKind): kind is keyof WatchedKinds =>
  kind === 'ClusterTrustBundle' || kind === 'PodCertificateRequest';

function watchedKinds(nodeName: string, deps: WatchedKindDeps): WatchedKinds {
  return {
    ClusterTrustBundle: new WatchedKind(
      {
        name: 'ClusterTrustBundles',
        paths: trustBundlePaths,
        needs: 'the feature gate ClusterTrustBundle and certificates.k8s.io in --runtime-config',
        kept: true,
      },
      deps,
    ),
    PodCertificateRequest: new WatchedKind(
      {
        name: 'PodCertificateRequests',
        paths: [listPath('PodCertificateRequest', '')],
        fieldSelector: `spec.nodeName=${nodeName}`,
        needs: 'the feature gate PodCertificateRequest and certificates.k8s.io/v1beta1 in --runtime-config',
      },
      deps,
    ),
  };
}
