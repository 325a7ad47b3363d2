import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import { errorText } from '../../base/errors.js';
import type { RunProgram } from '../../base/run-program.js';
import { orAbort } from '../../base/signals.js';
import type { Quantity } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { Devices } from '../devices/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { FaultPoint } from '../fault-point.js';
import type { HostFacts } from '../node/host-facts.js';
import { openVolumeManager, unsweptMessage, type OpenVolumeManager } from '../volumes/index.js';

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
  readonly at?: FaultPoint | undefined;
}

/** The volume manager on this node's folders, with the drivers that are registered here. */
export function wireVolumes(config: AgentConfig, parts: VolumeParts, signal: AbortSignal): Promise<OpenVolumeManager> {
  const { run, recorder, clock, log, events, controlPlane, host, devices, allocatable, at } = parts;
  const { nodeName, cluster, paths } = config;
  return openVolumeManager(
    { rootDir: paths.rootDir, nodeName, standalone: cluster === undefined },
    {
      ...{ run, recorder, log, clock, events, objects: controlPlane, at },
      nodeFields: () => ({ nodeName, hostIps: host.addresses, podIps: [] }),
      allocatable: () => allocatable,
      supportsRecursiveReadOnly: () => true,
      csi: devices.csi,
      flexVolumes: devices.flexVolumes,
    },
    signal,
  );
}

/** Once all that earlier runs left of pods is gone: what they left attached and staged without a pod. Never rejects. */
export async function sweepVolumes(
  tidy: Promise<void>,
  volumes: Pick<OpenVolumeManager, 'removeUnused'>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  try {
    await orAbort(tidy, signal);
    await volumes.removeUnused(signal);
  } catch (err) {
    if (!signal.aborted) log.warn({ err: errorText(err) }, unsweptMessage);
  }
}
