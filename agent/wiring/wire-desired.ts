import type { Clock } from '../../base/clock.js';
import type { AdmissionNode } from '../admission/admit-pod.js';
import type { KnownNode } from '../admission/known-node.js';
import { knownResources } from '../admission/known-resources.js';
import { nodeAdmission } from '../admission/node-admission.js';
import { isStaticPod, type Pod, type PodUid, type Quantity } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { Devices } from '../devices/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { podReference } from '../events/references.js';
import type { Housekeeping } from './open-housekeeping.js';
import type { HostFacts } from '../node/host-facts.js';
import { DesiredPods } from '../pods/desired-pods.js';
import type { RuntimeHealth } from '../runtimes/runtime-health.js';

export interface DesiredParts {
  readonly clock: Clock;
  readonly events: EventRecorder;
  readonly devices: Devices;
  /** For metrics. */
  preempted(resource: string): void;
  readonly allocatable: Readonly<Record<string, Quantity>>;
  readonly host: HostFacts;
  /** What the cluster says of the node: its labels and taints, and resources that an operator gave it. */
  readonly known: KnownNode;
  health(): RuntimeHealth;
  housekeeping(): Housekeeping;
  /** A pod was taken, with these resources. */
  admitted(pod: Pod): void;
  wake(uid: PodUid): void;
}

/** The pods this node should run, admitted by what it can give. */
export function wireDesired(config: AgentConfig, parts: DesiredParts): DesiredPods {
  const { clock, events, devices, allocatable, host, known } = parts;
  const admit = nodeAdmission({
    clock,
    events,
    node: () => ({
      ...ofCluster(config, known),
      allocatable: {
        ...knownResources(known.current, devices.amounts().capacity),
        ...allocatable,
        ...devices.admissible(),
      },
      maxPods: config.limits.maxPods,
      allowedUnsafeSysctls: config.security.allowedUnsafeSysctls,
      appArmor: host.appArmor === true,
      supplementalGroupsPolicy: parts.health().supplementalGroupsPolicy,
      pressures: parts.housekeeping().pressures,
      shuttingDown: parts.housekeeping().shuttingDown,
    }),
    terminate: (uid, termination) => desired.terminate(uid, termination),
    preempted: (resource) => parts.preempted(resource),
  });
  const desired: DesiredPods = new DesiredPods({
    clock,
    admit: (pod, active) => {
      const verdict = admit(pod, active);
      if (verdict.admitted) parts.admitted(verdict.pod);
      return verdict;
    },
    isStatic: isStaticPod,
    wake: (uid) => parts.wake(uid),
    rejected: (pod, reason, message) => events.record(podReference(pod), 'Warning', reason, message),
  });
  return desired;
}

/** The cluster's word on the node counts for its pods; nothing is compared before it has said any. */
function ofCluster(config: AgentConfig, { current }: KnownNode): Pick<AdmissionNode, 'nodeName' | 'labels' | 'taints'> {
  if (!config.cluster) return {};
  const { metadata, spec } = current ?? {};
  return { nodeName: config.nodeName, labels: metadata?.labels, taints: spec?.taints };
}
