/** What travels between the node API and its clients, besides Kubernetes' own objects. Types only: the client loads nothing for it. */
import type { Event, Pod } from '../../api/index.js';
import type { CurrentWait } from '../../podloop/steps.js';
import type { RecordedCall } from '../../recorder/recorded-call.js';
import type { ManifestReport } from '../../sources/index.js';

/** A pod with what the agent does about it. */
export interface PodView {
  /** With the status as it is now. */
  readonly pod: Pod;
  readonly waits: readonly CurrentWait[];
  /** Words of pulls under way, by container. */
  readonly progress: Readonly<Record<string, string>>;
  /** Where it came from: `file`, `http`, `api`; absent for a pod that only the runtime knows. */
  readonly source?: string | undefined;
  /** The manifest it came from. */
  readonly manifest?: string | undefined;
  /** It is ending: why. */
  readonly ending?: { readonly cause: string; readonly since: number; readonly graceSeconds: number } | undefined;
}

export interface List<T> {
  readonly items: readonly T[];
}

/** One line of a watch. After the ones that tell what is there comes one `SYNCED` without an object. */
export type WatchLine<T> =
  { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T } | { readonly type: 'SYNCED' };

/** Everything that bears on why a pod is as it is. */
export interface PodExplanation {
  /** Absent when there is no such pod: the reports and events then say why not. */
  readonly view?: PodView | undefined;
  readonly now: number;
  readonly sourcesSynced: boolean;
  readonly runtime: { readonly ready: boolean; readonly message: string };
  readonly network: { readonly ready: boolean; readonly message: string };
  /** What is wrong between the node and its cluster, a sentence each. */
  readonly cluster?: readonly string[] | undefined;
  /** Oldest first. */
  readonly events: readonly Event[];
  /** Calls of the pod to plugins: those under way, the last that failed, the last of all. Oldest first. */
  readonly calls: readonly RecordedCall[];
  /** Manifests that name the pod, or, without a pod, all that have problems. */
  readonly manifests: readonly ManifestReport[];
}

export interface AppliedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly uid?: string | undefined;
  readonly verb: 'created' | 'configured' | 'unchanged' | 'deleted';
}

/** What became of a manifest's objects: those that could not be deleted keep none of the others. */
export interface DeletedObjects extends List<AppliedObject> {
  /** An HTTP status and the words for it. */
  readonly failures: ReadonlyArray<{ readonly status: number; readonly message: string }>;
}

/** An object of the local store without what must stay secret. */
export interface ObjectRow {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name?: string | undefined;
    readonly namespace?: string | undefined;
    readonly creationTimestamp?: string | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
  };
  readonly [field: string]: unknown;
}

export interface ImageRow {
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly sizeBytes: number;
  /** Bytes on disk that go when only this image is removed; absent where the runtime cannot tell. */
  readonly uniqueBytes?: number | undefined;
  readonly pinned: boolean;
  readonly createdAt?: number | undefined;
  readonly lastUsed?: number | undefined;
  /** Why it stays: `pinned`, `used by default/web`, or what else keeps it; empty when the next garbage collection takes it. */
  readonly heldBy: readonly string[];
}

export interface ImageList extends List<ImageRow> {
  readonly totalBytes?: number | undefined;
}

/** One line of a pull or an import. */
export type ImageProgress =
  | { readonly type: 'progress'; readonly text: string }
  | { readonly type: 'done'; readonly images: readonly ImageRow[] }
  | { readonly type: 'error'; readonly reason: string; readonly message: string };

export interface NodeConditionView {
  readonly type: string;
  readonly status: boolean;
  /** Those that a node object has, too, have a reason and the time they turned. */
  readonly reason?: string | undefined;
  readonly message: string;
  readonly lastTransitionTime?: string | undefined;
}

export interface NodeView {
  readonly name: string;
  readonly version: string;
  readonly kubernetesVersion: string;
  readonly startedAt: number;
  readonly pid: number;
  readonly controlPlane: string;
  readonly kernel: string;
  readonly osImage: string;
  readonly architecture: string;
  readonly addresses: readonly string[];
  /** What the machine has, and what pods may use of it, with the devices of plugins and pools. */
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
  readonly runtime: { readonly name: string; readonly version: string };
  readonly conditions: readonly NodeConditionView[];
  readonly pods: { readonly total: number; readonly running: number };
}

/** Who would be evicted, in what order, with the arithmetic. */
export interface PressureView {
  readonly text: string;
}

export interface PluginRow {
  readonly interface: string;
  readonly name: string;
  readonly version: string;
  readonly ready: boolean;
  readonly message: string;
}
