import type { PodDevices } from '../devices/index.js';
import type { CpuFacts, DesiredPod, ObservedContainer, PodFacts, RuntimeFacts } from '../podloop/pod-facts.js';
import type { LivePod } from '../podloop/pod-loops.js';
import { allContainers, type Pod, type PodStatus, type PodUid } from '../api/index.js';
import type { ProbeManager, ProbeTarget } from '../probes/probe-manager.js';
import type { ProbedState } from '../probes/probe-record.js';
import type { PodResizes } from '../resources/resize/pod-resizes.js';
import type { VolumeManager } from '../volumes/volume-manager.js';

export interface GatherFactsDeps {
  readonly volumes: Pick<VolumeManager, 'isMounted' | 'isPresent'>;
  readonly probes: Pick<ProbeManager, 'sync' | 'facts'>;
  readonly agentStartedAt: number;
  readonly hostIps: readonly string[];
  readonly devices: Pick<PodDevices, 'waitOf' | 'healthOf'>;
  readonly sizes: Pick<PodResizes, 'refusal' | 'given'>;
  /** CPUs a container is to run on; absent where that is not followed. */
  readonly cpusOf?: ((pod: Pod, container: string) => string) | undefined;
  observe(uid: PodUid, signal: AbortSignal): Promise<RuntimeFacts>;
  network(): { readonly ready: boolean; readonly message: string };
  sourcesSynced(): boolean;
  lastStatus(uid: PodUid): PodStatus | undefined;
  /** What an earlier agent on this machine knew of a container's probes. */
  probedBefore(containerId: string): ProbedState;
}

/** A container that ran this long before the agent started keeps the readiness it was last reported with (facts 2.9). */
const keepsReadinessAfterMs = 10_000;

/** All that a pass looks at, read in the order that keeps it safe: operations under way before the runtime. */
export async function gatherFacts(pod: LivePod, deps: GatherFactsDeps, signal: AbortSignal): Promise<PodFacts> {
  const { uid, memory, operations } = pod;
  const inFlight = new Map(operations.inFlight);
  const runtime = await deps.observe(uid, signal);
  const desired = pod.desired();
  const last = deps.lastStatus(uid);
  if (desired) syncProbes(desired, runtime, last, deps);
  return {
    runtime,
    probes: deps.probes.facts(uid),
    notes: memory.notes,
    inFlight,
    failures: operations.failures,
    prepared: memory.prepared,
    grantWait: deps.devices.waitOf(uid),
    resize: { refusal: deps.sizes.refusal(uid), given: deps.sizes.given(uid), sizedFor: memory.sizedFor },
    cpus: desired && cpuFacts(desired.pod, memory.pinned, deps),
    deviceHealth: desired && deps.devices.healthOf(desired.pod),
    volumesMounted: desired !== undefined && deps.volumes.isMounted(desired.pod),
    volumesPresent: deps.volumes.isPresent(uid),
    stoppedSandboxes: memory.stoppedSandboxes,
    released: memory.released,
    network: deps.network(),
    agentStartedAt: deps.agentStartedAt,
    sourcesSynced: deps.sourcesSynced(),
    hostIps: deps.hostIps,
    lastReported: last,
  };
}

function cpuFacts(pod: Pod, pinned: ReadonlyMap<string, string>, { cpusOf }: GatherFactsDeps): CpuFacts | undefined {
  if (!cpusOf) return undefined;
  return { wanted: new Map(allContainers(pod).map(({ container: { name } }) => [name, cpusOf(pod, name)])), pinned };
}

function syncProbes(
  desired: DesiredPod,
  runtime: RuntimeFacts,
  last: PodStatus | undefined,
  deps: GatherFactsDeps,
): void {
  const podIp = desired.pod.spec?.hostNetwork === true ? (deps.hostIps[0] ?? '') : (runtime.sandboxes[0]?.ips[0] ?? '');
  const before = desired.previousStatus ?? last;
  const targets = runtime.containers
    .filter((container) => container.state === 'running')
    .map((container): ProbeTarget => {
      const old = container.startedAt + keepsReadinessAfterMs < deps.agentStartedAt;
      return { container, before: old ? stateBefore(before, container, deps) : 'unstarted' };
    });
  deps.probes.sync(desired.pod, podIp, targets, desired.termination !== undefined);
}

/** The control plane's word; a machine without a cluster has its own record. */
function stateBefore(status: PodStatus | undefined, container: ObservedContainer, deps: GatherFactsDeps): ProbedState {
  const statuses = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  const known = statuses.find(({ containerID }) => containerID === container.containerId);
  if (!known) return deps.probedBefore(container.id);
  return known.ready ? 'ready' : known.started === true ? 'unready' : 'unstarted';
}
