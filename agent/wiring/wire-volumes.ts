import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { Quantity } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { Devices } from '../devices/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { HostFacts } from '../node/host-facts.js';
import { openVolumeManager, type OpenVolumeManager } from '../volumes/index.js';

export interface VolumeParts {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly controlPlane: ControlPlane;
  readonly host: HostFacts;
  readonly devices: Devices;
  readonly allocatable: Readonly<Record<string, Quantity>>;
}

/** The volume manager on this node's folders, with the drivers that are registered here. */
export function wireVolumes(config: AgentConfig, parts: VolumeParts, signal: AbortSignal): Promise<OpenVolumeManager> {
  const { run, recorder, clock, log, events, controlPlane, host, devices, allocatable } = parts;
  const { nodeName, cluster, paths } = config;
  return openVolumeManager(
    { rootDir: paths.rootDir, nodeName, standalone: cluster === undefined },
    {
      ...{ run, recorder, log, clock, events, objects: controlPlane },
      nodeFields: () => ({ nodeName, hostIps: host.addresses, podIps: [] }),
      allocatable: () => allocatable,
      supportsRecursiveReadOnly: () => true,
      csi: devices.csi,
      flexVolumes: devices.flexVolumes,
    },
    signal,
  );
}
