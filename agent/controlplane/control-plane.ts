import { BerthError } from '../../base/errors.js';
import type {
  ConfigMap,
  CSIDriver,
  CSINode,
  Event,
  Lease,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodStatus,
  PriorityClass,
  Quantity,
  ResourceClaim,
  RuntimeClass,
  Secret,
  Service,
  ServiceAccount,
  StorageClass,
  TokenRequest,
  VolumeAttachment,
} from '../api/index.js';
import type { Accumulator } from '../serving/metrics/accumulators.js';
import type { ClusterTrustBundle, PodCertificateRequest } from './certificate-objects.js';
import type { RecoverySource } from './recovery.js';

/** The kinds the agent reads by name; cluster-scoped ones take an empty namespace. */
export interface ReadableObjects {
  ConfigMap: ConfigMap;
  Secret: Secret;
  ServiceAccount: ServiceAccount;
  Service: Service;
  PersistentVolumeClaim: PersistentVolumeClaim;
  PersistentVolume: PersistentVolume;
  StorageClass: StorageClass;
  VolumeAttachment: VolumeAttachment;
  CSIDriver: CSIDriver;
  CSINode: CSINode;
  RuntimeClass: RuntimeClass;
  PriorityClass: PriorityClass;
  ResourceClaim: ResourceClaim;
  ClusterTrustBundle: ClusterTrustBundle;
  /** Only those for pods of this node. */
  PodCertificateRequest: PodCertificateRequest;
  Node: Node;
  Pod: Pod;
}

export type ReadableKind = keyof ReadableObjects;

export type ControlPlaneFailure =
  /** It cannot be known now; what was read before may be used. Tried again by whoever asks. */
  | { readonly code: 'unavailable' }
  | { readonly code: 'forbidden' }
  | { readonly code: 'not-found' }
  | { readonly code: 'conflict' }
  | { readonly code: 'invalid' }
  /** This control plane does not have such objects or calls. */
  | { readonly code: 'unsupported' };

export class ControlPlaneError extends BerthError<ControlPlaneFailure> {}

export interface NodeMarks {
  readonly labels: Readonly<Record<string, string | null>>;
  readonly annotations: Readonly<Record<string, string | null>>;
}

/** How far this node is with growing the volume of a claim. */
export type ClaimGrowth =
  | { readonly state: 'growing' }
  /** The file system, or device, has what the PersistentVolume says now. */
  | { readonly state: 'grown'; readonly capacity: Quantity }
  /** It may succeed when it is tried again. */
  | { readonly state: 'failed'; readonly message: string }
  /** The driver says that it never will. */
  | { readonly state: 'infeasible'; readonly message: string };

/** The full set of pods one control plane wants on this node. */
export interface PodSnapshot {
  readonly pods: readonly Pod[];
  /** False until the first complete answer: absence means nothing before. */
  readonly synced: boolean;
}

/**
 * What the agent needs from whoever it works for: a Kubernetes API server, or the local store of a machine without a cluster.
 * The rest of the agent cannot tell which one it has. All calls may be repeated.
 */
export interface ControlPlane extends AsyncDisposable, RecoverySource {
  /** For people: `the cluster at https://...`, `the local store`. */
  readonly description: string;
  /** What is counted on the way there, for those who scrape the agent. */
  readonly counts?: readonly Accumulator[] | undefined;

  /** Calls back with each new full set, and once soon after the subscription. */
  watchPods(onSnapshot: (snapshot: PodSnapshot) => void): Disposable;
  /**
   * The full set of pods that manifests gave, each time it changes, from when all manifest sources have delivered. A control plane
   * that others look at shows them there.
   */
  setStaticPods(pods: readonly Pod[]): void;

  /** The newest known version, undefined when there is none. */
  get<K extends ReadableKind>(
    kind: K,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<ReadableObjects[K] | undefined>;
  /** All of a namespace, or of the cluster when it is empty. */
  list<K extends ReadableKind>(kind: K, namespace: string, signal: AbortSignal): Promise<readonly ReadableObjects[K][]>;
  /**
   * Calls back after a change of the object, its creation and deletion included, until disposed. Carries no data. An empty name stands
   * for all ClusterTrustBundles; of other kinds one object is watched.
   */
  watch(kind: ReadableKind, namespace: string, name: string, onChange: () => void): Disposable;

  createToken(
    namespace: string,
    serviceAccount: string,
    request: TokenRequest,
    signal: AbortSignal,
  ): Promise<TokenRequest>;

  /** Its name is the cluster's to give; returns what was made. */
  createPodCertificateRequest(
    namespace: string,
    request: PodCertificateRequest,
    signal: AbortSignal,
  ): Promise<PodCertificateRequest>;

  /** Replaces the status the agent owns; conditions of others stay. `not-found` when the pod is gone. */
  writePodStatus(pod: Pod, status: PodStatus, signal: AbortSignal): Promise<void>;
  /**
   * The last word on a pod that asked to be deleted, and on a static pod: nothing of it is left on the node. `status` is how it
   * ended, and is written first. Tried until it is done or the signal aborts.
   */
  confirmDeletion(pod: Pod, status: PodStatus | undefined, signal: AbortSignal): Promise<void>;
  /** Creates or updates (by name) an event. */
  writeEvent(event: Event, signal: AbortSignal): Promise<void>;

  /** Attached volumes that must not be detached yet, from now on by what `read` says whenever the node's status is written. */
  followVolumesInUse(read: () => readonly string[]): void;
  /** Resolves when the control plane knows of all of them; nothing attached may be touched before. */
  reportVolumesInUse(signal: AbortSignal): Promise<void>;
  readonly volumesInUse: readonly string[];

  /** Writes into the claim's status what its owner and the controllers of volumes want to know of its size. */
  reportClaimGrowth(claim: PersistentVolumeClaim, growth: ClaimGrowth, signal: AbortSignal): Promise<void>;

  registerNode(node: Node, signal: AbortSignal): Promise<Node>;
  writeNodeStatus(node: Node, signal: AbortSignal): Promise<Node>;
  /** Labels and annotations of the node that plugins decide; `null` takes one away. Does nothing when they are so already. */
  markNode(marks: NodeMarks, signal: AbortSignal): Promise<void>;
  /** Takes away what a driver, or every driver, offers of this node for dynamic allocation. */
  removeResourceSlices(driver: string | undefined, signal: AbortSignal): Promise<void>;
  renewLease(lease: Lease, signal: AbortSignal): Promise<Lease>;
  writeCsiNode(csiNode: CSINode, signal: AbortSignal): Promise<void>;
}
