import type { ImageSpec } from '../../proto/generated/cri-v1.js';
import type { PersistentVolume, PersistentVolumeClaim, Pod, PodUid, Volume } from '../api/index.js';
import type { VolumeUsage } from './volume-manager.js';

/** Where a volume of a pod comes from, claims resolved. */
export type VolumeOrigin =
  | { readonly kind: 'inline'; readonly volume: Volume }
  | {
      readonly kind: 'persistent';
      readonly volume: Volume;
      readonly persistentVolume: PersistentVolume;
      readonly claim: PersistentVolumeClaim;
    };

/** One volume of one pod, as plugins see it. */
export interface PodVolume {
  readonly pod: Pod;
  readonly uid: PodUid;
  /** The pod's word for it. */
  readonly name: string;
  /** Names its folders: the pod's word, or the name of the PersistentVolume. */
  readonly specName: string;
  readonly origin: VolumeOrigin;
  /** Asked for by the claim's use in the pod; a mount may ask for it too. */
  readonly readOnly: boolean;
  /** Handed out as a block device. */
  readonly block: boolean;
  readonly fsGroup?: number | undefined;
  /** Set when all containers run as one user. */
  readonly fsUser?: number | undefined;
}

/** A file system in memory that the manager mounts at the volume's folder before `publish`, together with others of the pod. */
export interface MemoryMount {
  readonly fsType: 'tmpfs' | 'hugetlbfs';
  readonly options: readonly string[];
}

/** What attaching and staging gave, once for all pods of the node. */
export interface NodeStage {
  readonly devicePath?: string | undefined;
  readonly stagePath?: string | undefined;
  readonly context?: Readonly<Record<string, string>> | undefined;
  /** Attached by a call of this agent, and not by a cluster's controller or by nobody. */
  readonly attachedHere?: boolean | undefined;
}

export interface PublishRequest {
  readonly volume: PodVolume;
  /** `pods/<uid>/volumes/<plugin>/<specName>`; its parent exists. */
  readonly path: string;
  /** The link of a block volume, `pods/<uid>/volumeDevices/<plugin>/<specName>`. */
  readonly devicePath: string;
  readonly staged: NodeStage;
  /** What the last `publish` of this agent run returned; undefined where the folder was made anew since. */
  readonly before: PublishedVolume | undefined;
  /** The folder was made for this call: nothing can be mounted there yet. */
  readonly isNew: boolean;
}

export interface PublishedVolume {
  /** What containers mount. */
  readonly hostPath?: string | undefined;
  /** The runtime mounts this image instead. */
  readonly image?: ImageSpec | undefined;
  /** The block device, or the link to it. */
  readonly device?: string | undefined;
  /** No container may write, whatever it asks for. */
  readonly readOnly: boolean;
  /** Its files have the label they should have, or none can be given to them. */
  readonly keepsLabels?: boolean | undefined;
  /** ms: look again then, because the content ages. */
  readonly refreshAt?: number | undefined;
  /** Tells what was written: the same text is the same content. */
  readonly content?: string | undefined;
}

/** A volume of which only the disk knows: after a restart, or of a pod whose spec is gone. */
export interface FoundVolume {
  readonly uid: PodUid;
  readonly specName: string;
  /** As in the folder name, unescaped. */
  readonly plugin: string;
  readonly path: string;
  readonly block: boolean;
}

/** Something attached or staged that a plugin found on disk. */
export interface FoundStage {
  readonly key: string;
  readonly stage: NodeStage;
}

/**
 * One kind of storage. All calls may be repeated: what is so already is a success, and after a kill -9 at any line the next call finds its
 * way. Failures are thrown as `VolumeProblem`s in the driver's words; the manager adds whose volume it was.
 */
export interface VolumePlugin {
  /** `kubernetes.io/secret`. */
  readonly name: string;
  supports(origin: VolumeOrigin): boolean;
  /** Name in folder names where it is not `name`, and whether such a folder is this plugin's. */
  folderName?(volume: PodVolume): string;
  ownsFolder?(plugin: string): boolean;

  /** It has a folder below the pod's; false for what is mounted from where it is. */
  readonly hasFolder: boolean;
  /** The content is the pod's own and is deleted with it. False: only folders that are empty are ever removed. */
  readonly deletesContent: boolean;
  memory?(volume: PodVolume): MemoryMount | undefined;
  /** It can hand out a volume as a block device (`volumeMode: Block`); absent: such a volume is refused before anything is done. */
  readonly handsOutDevices?: true;
  /** What it mounts is somebody else's: no runtime may change its SELinux labels. */
  readonly keepsLabels?: true;

  /** Names what is attached and staged once for all pods; absent when each pod's publish is all there is. */
  stageKey?(volume: PodVolume, signal: AbortSignal): Promise<string | undefined>;
  /** What the Node's `volumesInUse` calls it, for volumes that are attached. */
  uniqueName?(stageKey: string): string;
  attach?(volume: PodVolume, signal: AbortSignal): Promise<NodeStage>;
  /** `attach` does here what a cluster's attach/detach controller does there; else it waits for that, or for a device. */
  readonly attachesHere?: boolean | undefined;
  stage?(volume: PodVolume, attached: NodeStage, signal: AbortSignal): Promise<NodeStage>;
  publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume>;
  /** The manager unmounts what is mounted at or below the folder and removes it; with this, the plugin does so before. */
  unpublish?(found: FoundVolume, signal: AbortSignal): Promise<void>;
  unstage?(stage: FoundStage, signal: AbortSignal): Promise<void>;
  detach?(stage: FoundStage, signal: AbortSignal): Promise<void>;

  /** What is staged according to the disk, and the key a pod's published volume holds on to. */
  findStages?(signal: AbortSignal): Promise<readonly FoundStage[]>;
  stageKeyOf?(found: FoundVolume): Promise<string | undefined>;

  /** Undefined where the file system itself is to be asked. */
  stats?(
    volume: PodVolume,
    published: PublishedVolume,
    signal: AbortSignal,
  ): Promise<Omit<VolumeUsage, 'volume'> | undefined>;
  /** Grows the file system or device to what the claim was given; returns the new size. */
  expand?(request: PublishRequest, bytes: number, signal: AbortSignal): Promise<number>;
}
