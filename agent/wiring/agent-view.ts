import type { Cni } from '../../cni/index.js';
import type { CriRuntime } from '../../cri/index.js';
import type { ImageStore } from '../../cri/embedded/images/index.js';
import type { Agent, AgentPod } from '../agent.js';
import { podUidOf, type NodeCondition, type PodUid, type ResourceList } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { LocalControlPlane } from '../controlplane/local/local-control-plane.js';
import type { EventLog } from '../events/event-log.js';
import type { HostFacts } from '../node/host-facts.js';
import type { PodWorld } from './open-pod-world.js';
import type { CurrentWait } from '../podloop/steps.js';
import type { CallLog } from '../recorder/call-log.js';
import { runtimeWait } from '../runtimes/runtime-wait.js';

export interface AgentParts {
  readonly config: AgentConfig;
  readonly startedAt: number;
  readonly runtime: CriRuntime;
  readonly controlPlane: ControlPlane;
  readonly local: LocalControlPlane | undefined;
  readonly calls: CallLog;
  readonly host: HostFacts;
  readonly imageStore: ImageStore | undefined;
  readonly cni: Cni | undefined;
  readonly events: EventLog;
  readonly world: PodWorld;
  readonly capacity: () => ResourceList;
  readonly conditions: () => readonly NodeCondition[];
  readonly clusterProblems: () => readonly string[];
  /** Everything that was opened; disposing it ends the agent. */
  readonly owned: AsyncDisposable;
}

/** Which volume a pod waits for, and what that waits for, changes between two passes. */
function tellVolumes(wait: CurrentWait, underWay: () => readonly string[]): CurrentWait {
  if (wait.step !== 'mount-volumes' && wait.step !== 'unmount-volumes') return wait;
  const words = underWay();
  return words.length === 0 ? wait : { ...wait, object: words.join('; ') };
}

/** The agent as those who serve it see it. */
export function agentView(parts: AgentParts): Agent {
  const { config, startedAt, runtime, controlPlane, local, calls, host, imageStore, cni, events, world, owned } = parts;
  const view = (uid: PodUid): AgentPod => {
    const desired = world.desired.get(uid) ?? world.loops.last(uid)?.desired;
    return {
      uid,
      desired,
      pod: desired?.pod,
      status: world.statuses.of(uid) ?? desired?.pod.status,
      waits: [
        ...runtimeWait(world.health, world.statuses.of(uid), world.statuses.doubtedSince(uid)),
        ...world.statuses.waits(uid).map((wait) => tellVolumes(wait, () => world.volumes.underWay(uid))),
      ],
      observed: world.loops.live(uid)?.seen(),
      progress: world.statuses.pullProgress(uid),
    };
  };
  const pods = (): AgentPod[] => {
    const uids = new Set([...world.desired.all().map((desired) => podUidOf(desired.pod)), ...world.loops.uids()]);
    return [...uids].map(view);
  };
  return {
    config,
    startedAt,
    runtime,
    controlPlane,
    local,
    calls,
    host,
    get capacity() {
      return parts.capacity();
    },
    get allocatable() {
      return world.allocatable;
    },
    imageStore,
    cni,
    get runtimeHealth() {
      return world.health;
    },
    get conditions() {
      return parts.conditions();
    },
    pods,
    pod: (uid) => (world.desired.get(uid) || world.loops.last(uid) ? view(uid) : undefined),
    events: () => events.list(),
    onEvent: (listener) => events.onEvent(listener),
    onPodChange: (listener) => {
      const one = world.statuses.onChange((uid) => listener(view(uid)));
      const all = world.onHealthChange((uid) => (uid === undefined ? pods() : [view(uid)]).forEach(listener));
      return {
        [Symbol.dispose]() {
          one[Symbol.dispose]();
          all[Symbol.dispose]();
        },
      };
    },
    manifests: () => world.sources.reports,
    rescan: () => world.sources.wake(),
    retryNow: (uid) => world.loops.retryNow(uid),
    clusterProblems: parts.clusterProblems,
    tidy: world.tidy,
    sourcesSynced: () => world.sources.synced,
    plugins: () => world.devices.plugins(),
    stats: world.housekeeping.stats,
    explainImages: (signal) => world.housekeeping.explainImages(signal),
    pressureWhatIf: (signal) => world.housekeeping.pressureWhatIf(signal),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}
