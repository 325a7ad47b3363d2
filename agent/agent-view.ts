import type { Cni } from '../cni/index.js';
import type { CriRuntime } from '../cri/index.js';
import type { ImageStore } from '../cri/embedded/images/index.js';
import type { Agent, AgentPod } from './agent.js';
import { podUidOf, type PodUid } from './api/index.js';
import type { AgentConfig } from './config/agent-config.js';
import type { ControlPlane } from './controlplane/control-plane.js';
import type { LocalControlPlane } from './controlplane/local/local-control-plane.js';
import type { EventLog } from './events/event-log.js';
import type { HostFacts } from './node/host-facts.js';
import type { PodWorld } from './open-pod-world.js';
import type { CallLog } from './recorder/call-log.js';

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
  /** Everything that was opened; disposing it ends the agent. */
  readonly owned: AsyncDisposable;
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
      waits: world.statuses.waits(uid),
      observed: world.loops.live(uid)?.seen(),
      progress: world.statuses.pullProgress(uid),
    };
  };
  return {
    config,
    startedAt,
    runtime,
    controlPlane,
    local,
    calls,
    host,
    get allocatable() {
      return world.allocatable;
    },
    imageStore,
    cni,
    get runtimeHealth() {
      return world.health;
    },
    pods: () => {
      const uids = new Set([...world.desired.all().map((desired) => podUidOf(desired.pod)), ...world.loops.uids()]);
      return [...uids].map(view);
    },
    pod: (uid) => (world.desired.get(uid) || world.loops.last(uid) ? view(uid) : undefined),
    events: () => events.list(),
    onEvent: (listener) => events.onEvent(listener),
    onPodChange: (listener) => world.statuses.onChange((uid) => listener(view(uid))),
    manifests: () => world.sources.reports,
    rescan: () => world.sources.wake(),
    retryNow: (uid) => world.loops.retryNow(uid),
    tidy: world.tidy,
    sourcesSynced: () => world.sources.synced,
    plugins: () => world.devices.plugins(),
    pressureWhatIf: (signal) => world.housekeeping.pressureWhatIf(signal),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}
