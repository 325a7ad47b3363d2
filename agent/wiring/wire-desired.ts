import type { Clock } from '../../base/clock.js';
import { nodeAdmission } from '../admission/node-admission.js';
import { isStaticPod, type PodUid, type Quantity } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { Devices } from '../devices/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { podReference } from '../events/references.js';
import type { Housekeeping } from '../open-housekeeping.js';
import { DesiredPods } from '../pods/desired-pods.js';

export interface DesiredParts {
  readonly clock: Clock;
  readonly events: EventRecorder;
  readonly devices: Devices;
  readonly allocatable: Readonly<Record<string, Quantity>>;
  housekeeping(): Housekeeping;
  wake(uid: PodUid): void;
}

/** The pods this node should run, admitted by what it can give. */
export function wireDesired(config: AgentConfig, parts: DesiredParts): DesiredPods {
  const { clock, events, devices, allocatable } = parts;
  const desired: DesiredPods = new DesiredPods({
    clock,
    admit: nodeAdmission({
      clock,
      events,
      node: () => ({
        allocatable: { ...allocatable, ...devices.admissible() },
        maxPods: config.limits.maxPods,
        allowedUnsafeSysctls: config.security.allowedUnsafeSysctls,
        appArmor: false,
        pressures: parts.housekeeping().pressures,
        shuttingDown: parts.housekeeping().shuttingDown,
      }),
      terminate: (uid, termination) => desired.terminate(uid, termination),
    }),
    isStatic: isStaticPod,
    wake: (uid) => parts.wake(uid),
    rejected: (pod, reason, message) => events.record(podReference(pod), 'Warning', reason, message),
  });
  return desired;
}
