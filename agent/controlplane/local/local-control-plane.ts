import { randomUUID } from 'node:crypto';
import { toRfc3339, type Clock } from '../../../base/clock.js';
import {
  isTerminalPhase,
  type CSINode,
  type Event,
  type Lease,
  type Node,
  type Pod,
  type PodStatus,
  type TokenRequest,
} from '../../api/index.js';
import {
  ControlPlaneError,
  type ControlPlane,
  type PodSnapshot,
  type ReadableKind,
  type ReadableObjects,
} from '../control-plane.js';
import type { PodCertificateRequest } from '../certificate-objects.js';
import { keyOf, type ObjectKey, type ObjectStore, type StoredObject } from './object-store.js';

/** Kinds without a namespace. */
const clusterScoped = new Set([
  'PersistentVolume',
  'StorageClass',
  'RuntimeClass',
  'PriorityClass',
  'ClusterTrustBundle',
  'Node',
  'CSIDriver',
  'CSINode',
  'VolumeAttachment',
]);

/** The control plane of a machine without a cluster: a small store of the same objects, filled by `berth apply` and manifests. */
export class LocalControlPlane implements ControlPlane {
  readonly description = 'the local store of this machine';
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #statuses = new Map<string, PodStatus>();
  #node: Node | undefined;
  #lease: Lease | undefined;

  constructor(store: ObjectStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Nobody else looks: what runs here is seen here. */
  setStaticPods(): void {}

  /** Nobody detaches anything. */
  readonly volumesInUse: readonly string[] = [];

  followVolumesInUse(): void {}

  reportVolumesInUse(): Promise<void> {
    return Promise.resolve();
  }

  /** Who binds claims keeps their sizes too. */
  reportClaimGrowth(): Promise<void> {
    return Promise.resolve();
  }

  watchPods(onSnapshot: (snapshot: PodSnapshot) => void): Disposable {
    const send = (): void => {
      const pods = (this.#store.list('Pod', '') as Pod[]).filter((pod) => this.#store.isApplied(keyOf(pod)));
      onSnapshot({ synced: true, pods });
    };
    send();
    return this.#store.onAnyChange((key) => {
      if (key.kind === 'Pod') send();
    });
  }

  get<K extends ReadableKind>(kind: K, namespace: string, name: string): Promise<ReadableObjects[K] | undefined> {
    if (kind === 'Node') return Promise.resolve(this.#node as ReadableObjects[K] | undefined);
    return Promise.resolve(this.#store.get(scoped(kind, namespace, name)) as ReadableObjects[K] | undefined);
  }

  list<K extends ReadableKind>(kind: K, namespace: string): Promise<readonly ReadableObjects[K][]> {
    return Promise.resolve(this.#store.list(kind, clusterScoped.has(kind) ? '' : namespace) as ReadableObjects[K][]);
  }

  watch(kind: ReadableKind, namespace: string, name: string, onChange: () => void): Disposable {
    if (name !== '') return this.#store.watch(scoped(kind, namespace, name), onChange);
    return this.#store.onAnyChange((key) => {
      if (key.kind === kind) onChange();
    });
  }

  createToken(namespace: string, serviceAccount: string, _request: TokenRequest): Promise<TokenRequest> {
    return Promise.reject(
      new ControlPlaneError(
        `request a token for service account ${namespace}/${serviceAccount}: a machine without a cluster has nobody to issue tokens`,
        { code: 'unsupported' },
      ),
    );
  }

  createPodCertificateRequest(namespace: string, { spec }: PodCertificateRequest): Promise<PodCertificateRequest> {
    return Promise.reject(
      new ControlPlaneError(
        `request a certificate for pod ${namespace}/${spec.podName}: a machine without a cluster has nobody to sign it`,
        { code: 'unsupported' },
      ),
    );
  }

  /** Statuses are derived afresh after a restart; only a terminal one must survive, so that the pod is not run again. */
  async writePodStatus(pod: Pod, status: PodStatus): Promise<void> {
    const key = keyOf(pod);
    const stored = this.#store.get({ ...key, kind: 'Pod' }) as Pod | undefined;
    if (stored?.metadata?.uid !== pod.metadata?.uid) return;
    if (isTerminalPhase(status.phase) && stored?.status?.phase !== status.phase)
      await this.#store.apply({ ...stored, status } as StoredObject);
    this.#statuses.set(pod.metadata?.uid ?? '', status);
  }

  async confirmDeletion(pod: Pod): Promise<void> {
    this.#statuses.delete(pod.metadata?.uid ?? '');
    const stored = this.#store.get(podKeyOf(pod)) as Pod | undefined;
    if (stored?.metadata?.uid === pod.metadata?.uid) await this.#store.remove(podKeyOf(pod));
  }

  /** The object as it is stored; of a manifest or applied. */
  stored(key: ObjectKey): StoredObject | undefined {
    return this.#store.get(scoped(key.kind, key.namespace, key.name));
  }

  /** False for an object that a manifest gives. */
  isApplied(object: StoredObject): boolean {
    return this.#store.isApplied(keyOf(object));
  }

  /** Creates or replaces an object that passed the strict decoder and validation. A pod keeps its uid while it exists. */
  async apply(object: StoredObject): Promise<{ object: StoredObject; verb: 'created' | 'configured' }> {
    const namespaced = clusterScoped.has(object.kind ?? '') ? '' : (object.metadata?.namespace ?? 'default');
    const key: ObjectKey = { kind: object.kind ?? '', namespace: namespaced, name: object.metadata?.name ?? '' };
    const before = this.#store.get(key);
    const uid = before?.metadata?.uid ?? object.metadata?.uid ?? randomUUID();
    const stamped: StoredObject = {
      ...object,
      metadata: {
        ...object.metadata,
        uid,
        creationTimestamp: before?.metadata?.creationTimestamp ?? toRfc3339(this.#clock.now()),
        ...(namespaced === '' ? {} : { namespace: namespaced }),
      },
    };
    return { object: await this.#store.apply(stamped), verb: before ? 'configured' : 'created' };
  }

  /** Pods are marked, and go when the node has confirmed; other objects go at once. False when there is none. */
  async delete(key: ObjectKey, graceSeconds: number | undefined): Promise<boolean> {
    if (key.kind !== 'Pod') return this.#store.remove(scoped(key.kind, key.namespace, key.name));
    const pod = this.#store.get(key) as Pod | undefined;
    if (!pod || !this.#store.isApplied(key)) return false;
    const grace = graceSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30;
    await this.#store.apply({
      ...pod,
      metadata: {
        ...pod.metadata,
        deletionTimestamp: toRfc3339(this.#clock.now() + grace * 1000),
        deletionGracePeriodSeconds: grace,
      },
    });
    return true;
  }

  writeEvent(_event: Event): Promise<void> {
    return Promise.resolve();
  }

  registerNode(node: Node): Promise<Node> {
    this.#node = node;
    return Promise.resolve(node);
  }

  writeNodeStatus(node: Node): Promise<Node> {
    this.#node = node;
    return Promise.resolve(node);
  }

  /** The one machine has no scheduler that would read them. */
  markNode(): Promise<void> {
    return Promise.resolve();
  }

  removeResourceSlices(): Promise<void> {
    return Promise.resolve();
  }

  renewLease(lease: Lease): Promise<Lease> {
    this.#lease = lease;
    return Promise.resolve(this.#lease);
  }

  async writeCsiNode(csiNode: CSINode): Promise<void> {
    await this.#store.apply(csiNode);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

const scoped = (kind: string, namespace: string, name: string): ObjectKey => ({
  kind,
  namespace: clusterScoped.has(kind) ? '' : namespace,
  name,
});

const podKeyOf = (pod: Pod): ObjectKey => ({
  kind: 'Pod',
  namespace: pod.metadata?.namespace ?? 'default',
  name: pod.metadata?.name ?? '',
});
