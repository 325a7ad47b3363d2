import type { Clock } from '../../base/clock.js';
import type { CriRuntime } from '../../cri/index.js';
import type { ResourceList } from '../api/index.js';
import type { RuntimeHealth } from '../runtimes/runtime-health.js';
import type { PressureCondition } from '../eviction/index.js';
import { FullNodeStatus, type DeviceCapacity } from './full-node-status.js';
import type { HostFacts } from './host-facts.js';

export interface OpenNodeStatusOptions {
  readonly nodeName: string;
  readonly kubeletVersion: string;
  readonly kubeletPort: number;
  /** nodeStatusMaxImages. */
  readonly maxImages?: number | undefined;
}

export interface OpenNodeStatusDeps {
  readonly clock: Clock;
  readonly host: HostFacts;
  readonly runtime: CriRuntime;
  readonly capacity: ResourceList;
  readonly allocatable: ResourceList;
  devices(): readonly DeviceCapacity[];
  health(): RuntimeHealth;
  volumesInUse(): readonly string[] | undefined;
  readonly housekeeping: {
    readonly pressures: ReadonlySet<PressureCondition>;
    readonly shuttingDown: boolean;
    onChange(listener: () => void): Disposable;
  };
}

const usualMaxImages = 50;

/** The node's status with everything this agent knows, for whoever writes it to a cluster. */
export function openNodeStatus(options: OpenNodeStatusOptions, deps: OpenNodeStatusDeps): FullNodeStatus & Disposable {
  const { clock, host, runtime, housekeeping } = deps;
  const status = new FullNodeStatus(
    { ...options, addresses: host.addresses, maxImages: options.maxImages ?? usualMaxImages },
    {
      clock,
      host,
      runtime,
      capacity: () => deps.capacity,
      allocatable: () => deps.allocatable,
      devices: () => deps.devices(),
      pressures: () => housekeeping.pressures,
      readiness: () => {
        const { ready, message, network } = deps.health();
        return { runtime: { ready, message }, network, shuttingDown: housekeeping.shuttingDown, problems: [] };
      },
      volumesInUse: () => deps.volumesInUse(),
    },
  );
  const subscription = housekeeping.onChange(() => status.changed());
  return Object.assign(status, { [Symbol.dispose]: () => subscription[Symbol.dispose]() });
}
