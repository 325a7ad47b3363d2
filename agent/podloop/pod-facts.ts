import type { ContainerResources, ContainerUser, Mount } from '../../proto/generated/cri-v1.js';
import type { Pod, PodCondition, PodStatus, PodUid, ResourceStatus } from '../api/index.js';
import type { PodResources } from '../resources/resize/pod-resources.js';
import type { KillWhy, Operation, RestartBackoff, StepFailure } from './steps.js';

/** Why a pod must end. One-way: once set it stays, and only its grace may shrink. */
export interface Termination {
  readonly cause: 'deleted' | 'removed' | 'evicted' | 'preempted' | 'shutdown' | 'deadline' | 'rejected' | 'orphan';
  /** When the pod was first asked to end, ms. */
  readonly since: number;
  /** Seconds each container gets, at least 0; the pod level minimum of 1 is applied by whoever asks. */
  readonly graceSeconds: number;
  /** Phase, reason, message and condition that the cause puts on the status. */
  readonly status?: {
    readonly phase: 'Failed';
    readonly reason: string;
    readonly message: string;
    readonly condition?: PodCondition | undefined;
  };
}

/** What the sources, admission and the control plane want of one pod. */
export interface DesiredPod {
  readonly uid: PodUid;
  /** As admitted: defaulted, with allocated resources. `status` is the control plane's last word and is not used to decide. */
  readonly pod: Pod;
  readonly static: boolean;
  readonly termination?: Termination | undefined;
  /**
   * No source names the pod any more, whatever made it end first: once it has ended, nothing of it may stay. Needed where the
   * cause of the termination is an older one (evicted, then deleted).
   */
  readonly removed?: boolean | undefined;
  /**
   * The control plane's last word: start time, terminal phase, conditions of others, restart counts. What this agent itself reported
   * since (`PodFacts.lastReported`) goes before it. Static pods with restart policy Always never become terminal by themselves.
   */
  readonly previousStatus?: PodStatus | undefined;
}

export interface ObservedSandbox {
  readonly id: string;
  readonly attempt: number;
  readonly ready: boolean;
  /** ms. */
  readonly createdAt: number;
  /** Primary family first; empty with the host's network. */
  readonly ips: readonly string[];
  readonly hostNetwork: boolean;
}

export type ObservedContainerState = 'created' | 'running' | 'exited' | 'unknown';

export interface ObservedContainer {
  readonly id: string;
  /** `<runtime>://<id>`, as the pod status shows it. */
  readonly containerId: string;
  readonly name: string;
  readonly sandboxId: string;
  readonly state: ObservedContainerState;
  /** Number of starts before this one. */
  readonly restartCount: number;
  /** Times in ms, 0 while there is none. */
  readonly createdAt: number;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly exitCode: number;
  readonly reason: string;
  /** Termination message or the runtime's words. */
  readonly message: string;
  /** The image as the spec named it, and the digested reference the runtime resolved it to. */
  readonly image: string;
  readonly imageRef: string;
  /** `containerHash` it was created with, by berth or by a kubelet; undefined where nobody left one. */
  readonly hash: string | undefined;
  readonly resources: ContainerResources | undefined;
  readonly user: ContainerUser | undefined;
  readonly mounts: readonly Mount[];
  readonly logPath: string;
}

/** What the runtime says of one pod, read afresh for each pass. */
export interface RuntimeFacts {
  /** Newest attempt first. */
  readonly sandboxes: readonly ObservedSandbox[];
  /** Newest first within a name. */
  readonly containers: readonly ObservedContainer[];
}

export interface ProbeFacts {
  /** Startup probe passed, or running when there is none. */
  readonly started: boolean;
  readonly ready: boolean;
  /** Set when a liveness or startup probe gave up on this container. */
  readonly failed?: {
    readonly probe: 'liveness' | 'startup';
    readonly message: string;
    readonly graceSeconds?: number | undefined;
  };
}

/** What happened to a container that the runtime cannot tell. */
export interface ContainerNotes {
  readonly backoff?: RestartBackoff | undefined;
  /** The last kill that was begun: why a container ended decides with its exit code whether it starts again. */
  readonly killed?: { readonly containerId: string; readonly why: KillWhy['kind'] } | undefined;
  /** Id of an instance whose preStop hook was begun before its turn to stop: the kill leaves it out. */
  readonly preStopBegun?: string | undefined;
  /** Id of an instance that is removed because it was made and never started, whatever state it shows on its way. */
  readonly neverRan?: string | undefined;
  /** Image id resolved by the last successful image step for this spec image; good for one start, which takes it away (`stepNotes`). */
  readonly imageReady?: { readonly image: string; readonly imageId: string } | undefined;
  /** Ids of containers whose postStart hook has finished (or that have none and were started by this agent or before it). */
  readonly postStartDone?: string | undefined;
}

/** A device or another grant that a pod must wait for. */
export interface GrantWait {
  readonly resource: string;
  readonly reason: string;
  /** Since when it waits, and from when on it is refused; ms. */
  readonly since: number;
  readonly until: number;
}

/** How far the pod has what its spec asks for (`DesiredPod.pod` has what it is promised). */
export interface ResizeFacts {
  /** Why the pod is not promised what its spec asks for now. */
  readonly refusal?: { readonly kind: 'Deferred' | 'Infeasible'; readonly message: string } | undefined;
  /** What the containers were given last. */
  readonly given: PodResources | undefined;
  /** The pod as its cgroup was limited for; undefined while that is not known to be so. */
  readonly sizedFor: Pod | undefined;
}

/** CPUs of containers, as the kernel writes them. */
export interface CpuFacts {
  /** Where each container is to run, by name. */
  readonly wanted: ReadonlyMap<string, string>;
  /** Where instances were moved since the agent started, by id. */
  readonly pinned: ReadonlyMap<string, string>;
}

/** Everything `planPod` and `deriveStatus` look at besides the desired pod and the time. Immutable, built once a pass. */
export interface PodFacts {
  readonly runtime: RuntimeFacts;
  /** By container id. */
  readonly probes: ReadonlyMap<string, ProbeFacts>;
  /** By container name. */
  readonly notes: ReadonlyMap<string, ContainerNotes>;
  /**
   * Long steps under way, by `stepKey`; as they were before `runtime` was read: a step that ended meanwhile may have changed what was
   * read already, and its end wakes the next pass.
   */
  readonly inFlight: ReadonlyMap<string, Operation>;
  /** Steps that failed and have not succeeded since, by `stepKey`. */
  readonly failures: ReadonlyMap<string, StepFailure>;
  /** `prepare-pod` succeeded since the agent started. */
  readonly prepared: boolean;
  /** Why the pod cannot have its devices yet; it is asked for them again when this is gone, and at `until`. */
  readonly grantWait?: GrantWait | undefined;
  /** Absent where resources are not followed. */
  readonly resize?: ResizeFacts | undefined;
  /** Absent where containers run on any CPU. */
  readonly cpus?: CpuFacts | undefined;
  /** Health of the devices that containers hold, by container name. */
  readonly deviceHealth?: ReadonlyMap<string, readonly ResourceStatus[]> | undefined;
  /** All volumes of the current spec are mounted and current. */
  readonly volumesMounted: boolean;
  /** Something of the pod is still mounted or laid out on disk. */
  readonly volumesPresent: boolean;
  /**
   * Sandboxes whose `stop-sandbox` succeeded since the agent started: a sandbox that is not ready may still hold its network. Without
   * it a sandbox that is not ready counts as stopped.
   */
  readonly stoppedSandboxes?: ReadonlySet<string> | undefined;
  /** The pod's cgroup, folders, devices are given back. */
  readonly released: boolean;
  /** Network of the node, for pods that do not use the host's. */
  readonly network: { readonly ready: boolean; readonly message: string };
  /** ms when this agent started: containers started well before keep their readiness. */
  readonly agentStartedAt: number;
  /** All pod sources have delivered once: only then is absence a reason to clean up. */
  readonly sourcesSynced: boolean;
  readonly hostIps: readonly string[];
  /** What the last pass derived, undefined in the first: for what the runtime forgot, for what may not change, and for times of transition. */
  readonly lastReported?: PodStatus | undefined;
}

/** Tunables of the planner, from the configuration. */
export interface PlanPolicy {
  /** CrashLoopBackOff: first delay, cap, and quiet time after which it starts again, ms. Kubelet: 10 s, 300 s, 600 s. */
  readonly restartBackoff: { readonly initialMs: number; readonly maxMs: number; readonly resetAfterMs: number };
}
