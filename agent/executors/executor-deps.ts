import type { ContainerConfig, LinuxContainerResources, PodSandboxConfig } from '../../proto/generated/cri-v1.js';
import type { RuntimeService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { ContainerKind, Pod, PodContainer, PodUid, ResourceRequirements } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { RuntimeChange } from '../observe/runtime-change.js';
import type { ObservedContainer, DesiredPod, RuntimeFacts } from '../podloop/pod-facts.js';
import type { PodMemory } from '../podloop/pod-memory.js';
import type { StartGate } from '../podloop/start-gate.js';
import type { Step, StepOf } from '../podloop/steps.js';
import type { PodCgroups } from '../resources/pod-cgroups.js';
import type { PodResources } from '../resources/resize/pod-resources.js';
import type { VolumeManager } from '../volumes/volume-manager.js';

/** One pod as its executors see it. */
export interface PodContext {
  readonly uid: PodUid;
  readonly memory: PodMemory;
  /** Newest desired state; undefined for a pod that only the runtime knows. */
  desired(): DesiredPod | undefined;
  /** What the last pass saw. */
  seen(): RuntimeFacts;
}

export interface ContainerRequest {
  readonly pod: Pod;
  readonly container: PodContainer;
  readonly role: ContainerKind;
  readonly sandboxId: string;
  readonly sandboxConfig: PodSandboxConfig;
  readonly podIps: readonly string[];
  readonly imageId: string;
  readonly restartCount: number;
}

/** What the pod's owner should know of how its sandbox was configured; becomes a Warning event. */
export interface SandboxNote {
  readonly reason: string;
  readonly message: string;
}

/** Turns specs into CRI configurations. Failures are `StepError`s with the waiting reason. */
export interface ConfigBuilder {
  sandbox(
    pod: Pod,
    attempt: number,
    signal: AbortSignal,
  ): Promise<{ config: PodSandboxConfig; runtimeHandler: string; notes: readonly SandboxNote[] }>;
  container(request: ContainerRequest, signal: AbortSignal): Promise<ContainerConfig>;
  /** The resources part of a container's configuration. */
  resources(pod: Pod, container: PodContainer['container']): LinuxContainerResources;
}

/** Makes the image of a container present by its pull policy. Failures are `StepError`s (`ErrImagePull`, `ErrImageNeverPull`, ...). */
export interface ImageEnsurer {
  ensure(pod: Pod, container: PodContainer, signal: AbortSignal): Promise<{ imageId: string }>;
}

export interface HookTarget {
  readonly pod: Pod;
  readonly container: PodContainer;
  readonly containerId: string;
  readonly podIp: string;
}

/** Runs lifecycle hooks; a container without the hook is a success. */
export interface HookRunner {
  postStart(target: HookTarget, signal: AbortSignal): Promise<void>;
  preStop(target: HookTarget, signal: AbortSignal): Promise<void>;
}

export interface PodLogs {
  /** Makes the pod's log folder and the container's below it. */
  prepare(pod: Pod, container: string): void;
  /** Removes all files of one container instance. */
  removeInstance(container: ObservedContainer): Promise<void>;
  /** Removes the pod's log folder and links into it. */
  removePod(uid: PodUid): Promise<void>;
}

export interface PodFolders {
  /** `pods/<uid>` and what lies in it, 0750. */
  prepare(uid: PodUid): void;
  /** Removes `pods/<uid>`; refuses while something is mounted below it. */
  remove(uid: PodUid): void;
}

export type GrantOutcome =
  | { readonly kind: 'granted' }
  /** Not yet; why and for how long is a fact of the pod (`PodFacts.grantWait`). Its loop is woken when it may ask again. */
  | { readonly kind: 'waiting' }
  /** The pod cannot be run here. */
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string };

/** Devices and other things that are granted to a pod at admission and held until nothing of it runs. */
export interface PodGrants {
  /** Everything the pod's containers ask for, or nothing. May be repeated. `running` names the containers that run already. */
  allocate(pod: Pod, running: ReadonlySet<string>, signal: AbortSignal): Promise<GrantOutcome>;
  /** Before the pod's sandbox is made. Failures are `StepError`s. */
  prepareClaims(pod: Pod, signal: AbortSignal): Promise<void>;
  /** Before each start of a container. Failures are `StepError`s. */
  preStart(pod: Pod, container: string, signal: AbortSignal): Promise<void>;
  /** Succeeds when the pod holds nothing. */
  release(uid: PodUid, signal: AbortSignal): Promise<void>;
}

/** What pods are promised and were given (agent/resources/resize). */
export interface PodSizes {
  given(uid: PodUid): PodResources | undefined;
  /** Noted before a container gets them; where they replace others, `saved` is waited for first. */
  give(uid: PodUid, container: string, resources: ResourceRequirements): void;
  giveToPod(pod: Pod): void;
  saved(signal: AbortSignal): Promise<void>;
  released(uid: PodUid): void;
}

export interface ExecutorDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: RuntimeService;
  /**
   * What a verb of the runtime made of a sandbox or a container: the next pass asks for that, and for nothing else. The end of the step
   * wakes the pod's loop; `news` wakes it now.
   */
  changed(uid: PodUid, change: RuntimeChange, news?: boolean): void;
  readonly events: EventRecorder;
  readonly gate: StartGate;
  readonly configs: ConfigBuilder;
  readonly images: ImageEnsurer;
  readonly hooks: HookRunner;
  readonly volumes: VolumeManager;
  readonly cgroups: PodCgroups;
  readonly sizes: PodSizes;
  /** CPUs a container is to run on; absent where that is not followed. */
  readonly cpusOf?: ((pod: Pod, container: string) => string) | undefined;
  readonly folders: PodFolders;
  readonly logs: PodLogs;
  readonly grants: PodGrants;
  /** The pod is refused after all: it ends, and says why. */
  reject(uid: PodUid, reason: string, message: string): void;
}

/** One executor per step kind: a new kind without one does not compile. */
export type Executors = {
  readonly [K in Step['kind']]: (step: StepOf<K>, pod: PodContext, signal: AbortSignal) => Promise<void>;
};
