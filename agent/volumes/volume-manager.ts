import type { Mount } from '../../proto/generated/cri-v1.js';
import type { Container, EphemeralContainer, Pod, PodUid } from '../api/index.js';

/** A block device handed to a container (`volumeDevices`). */
export interface VolumeDevice {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly permissions: 'mrw' | 'r';
}

export interface ContainerVolumes {
  /** In the order of `volumeMounts`. */
  readonly mounts: readonly Mount[];
  readonly devices: readonly VolumeDevice[];
}

export interface VolumeUsage {
  readonly volume: string;
  readonly claim?: { readonly namespace: string; readonly name: string } | undefined;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly availableBytes: number;
  readonly inodes: number;
  readonly inodesUsed: number;
}

/** What the pod loop and its executors need of storage. */
export interface VolumeManager {
  /**
   * Makes every volume that a container of the pod uses present and current. Idempotent, cheap when nothing changed. Fails with a
   * `VolumeError` that names the volume, the call and the driver's words; what was mounted stays mounted.
   */
  mountPod(pod: Pod, signal: AbortSignal): Promise<void>;
  /** True while all volumes of this pod's spec are mounted and no newer content waits. */
  isMounted(pod: Pod): boolean;
  /** True while anything of the pod is mounted or laid out on disk. */
  isPresent(uid: PodUid): boolean;
  /** What the pod's volumes wait for now, a sentence each: the volume, the call, the driver, since when, its last words. */
  underWay(uid: PodUid): readonly string[];
  /** Everything unmounted and removed; never removes through a mount. */
  unmountPod(uid: PodUid, signal: AbortSignal): Promise<void>;

  /**
   * Mounts and devices of one container; subPath mounts are opened without following a symlink and pinned until the pod is unmounted.
   * `env` is what `subPathExpr` expands.
   */
  forContainer(
    pod: Pod,
    container: Container | EphemeralContainer,
    env: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<ContainerVolumes>;
  /** Group ids that volumes ask for (fsGroup, `pv.beta.kubernetes.io/gid`), added to every container. */
  supplementalGroups(pod: Pod): readonly number[];

  /** Calls back when a pod's volumes need a look: content changed, a driver came back, a health check failed. */
  onChange(listener: (uid: PodUid) => void): Disposable;
  /** Text of a file that containers of the pod write to, for `fileKeyRef`: never one outside the volume. Undefined when there is none. */
  readVolumeFile(pod: Pod, volume: string, path: string, signal: AbortSignal): Promise<string | undefined>;
  /** Pods of which anything is mounted or laid out on disk, those of earlier runs included. */
  presentPods(): readonly PodUid[];
  /** What the Node's `volumesInUse` must name; complete from the start on. */
  readonly volumesInUse: readonly string[];
  /**
   * Unstages and detaches what an earlier run left without a pod, and deletes what was made for claims that are over. For when all sources have
   * delivered. What fails is tried again when a driver comes.
   */
  removeUnused(signal: AbortSignal): Promise<void>;
  /** How many volumes of pods are there, by what makes them in the kubelet's words: of a claim that is the volume behind it. */
  readonly mountedByPlugin: ReadonlyMap<string, number>;
  /** How many volumes pods are to have, whether or not they have them already; a claim counts once it has its volume. */
  readonly wantedByPlugin: ReadonlyMap<string, number>;
  usage(uid: PodUid, signal: AbortSignal): Promise<readonly VolumeUsage[]>;
}
