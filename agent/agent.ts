import type { Event, NodeCondition, Pod, PodStatus, PodUid, Quantity } from './api/index.js';
import type { AgentConfig } from './config/agent-config.js';
import type { Cni } from '../cni/index.js';
import type { CriRuntime } from '../cri/index.js';
import type { ImageStore } from '../cri/embedded/images/index.js';
import type { ControlPlane } from './controlplane/control-plane.js';
import type { LocalControlPlane } from './controlplane/local/local-control-plane.js';
import type { PluginReport } from './devices/index.js';
import type { ImageVerdict } from './garbage/index.js';
import type { HostFacts } from './node/host-facts.js';
import type { DesiredPod, RuntimeFacts } from './podloop/pod-facts.js';
import type { CurrentWait } from './podloop/steps.js';
import type { CallLog } from './recorder/call-log.js';
import type { RuntimeHealth } from './runtimes/runtime-health.js';
import type { NodeStatsEndpoints } from './stats/index.js';
import type { ManifestReport } from './sources/index.js';

/** One pod as the agent sees it now. */
export interface AgentPod {
  readonly uid: PodUid;
  readonly desired: DesiredPod | undefined;
  readonly pod: Pod | undefined;
  readonly status: PodStatus | undefined;
  /** What it waits for, the most telling first; empty when it is as it should be. */
  readonly waits: readonly CurrentWait[];
  /** What the last pass saw in the runtime. */
  readonly observed: RuntimeFacts | undefined;
  /** Words of pulls under way, by container. */
  readonly progress: Readonly<Record<string, string>>;
}

/** The running agent, as those who serve it (node API, kubelet API, CLI's live view) see it. */
export interface Agent extends AsyncDisposable {
  readonly config: AgentConfig;
  readonly startedAt: number;
  readonly runtime: CriRuntime;
  readonly controlPlane: ControlPlane;
  /** Present on a machine without a cluster: what `berth apply` and `berth delete` write to. */
  readonly local: LocalControlPlane | undefined;
  readonly calls: CallLog;
  readonly host: HostFacts;
  /** What the machine has, with what device plugins offer. */
  readonly capacity: Readonly<Record<string, Quantity>>;
  /** What pods may use of it. */
  readonly allocatable: Readonly<Record<string, Quantity>>;
  /** Images with their archives, names and layers; absent where the runtime keeps them itself. */
  readonly imageStore: ImageStore | undefined;
  /** Absent where the runtime calls CNI itself. */
  readonly cni: Cni | undefined;
  readonly runtimeHealth: RuntimeHealth;
  /** The pressures and Ready, as a cluster is told of them. */
  readonly conditions: readonly NodeCondition[];

  pods(): readonly AgentPod[];
  pod(uid: PodUid): AgentPod | undefined;
  events(): readonly Event[];
  onEvent(listener: (event: Event) => void): Disposable;
  /** Calls back after a pass changed what a pod shows. */
  onPodChange(listener: (pod: AgentPod) => void): Disposable;
  manifests(): readonly ManifestReport[];
  /** What node, pods and containers use. */
  readonly stats: NodeStatsEndpoints;
  /** Why each image is still here; those that the next collection takes have no reason. */
  explainImages(signal: AbortSignal): Promise<readonly ImageVerdict[]>;
  /** Which pods would be evicted now, in what order and why, as text; touches nothing. */
  pressureWhatIf(signal: AbortSignal): Promise<string>;
  /** Looks at the manifests again now. */
  rescan(): void;
  /** Everything the pod waits for is tried now; false when there is no such pod. */
  retryNow(uid: PodUid): boolean;
  /** Resolves when what earlier runs left of pods nobody wants any more has been found and is gone. */
  readonly tidy: Promise<void>;
  /** Device plugins, device pools, CSI drivers, FlexVolume drivers and DRA drivers, and how each is. */
  plugins(): readonly PluginReport[];
  /** What is wrong between the node and its cluster, a sentence each; empty without one. */
  clusterProblems(): readonly string[];
  /** True once every source of pods has delivered. */
  sourcesSynced(): boolean;
}
