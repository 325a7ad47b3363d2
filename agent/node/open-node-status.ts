import type { Clock } from '../../base/clock.js';
import type { CriRuntime } from '../../cri/index.js';
import type { ResourceList } from '../api/index.js';
import type { RuntimeHealth } from '../runtimes/runtime-health.js';
import type { PressureCondition } from '../eviction/index.js';
import { FullNodeStatus } from './full-node-status.js';
import type { HostFacts } from './host-facts.js';

export interface OpenNodeStatusOptions {
  readonly nodeName: string;
  readonly kubeletVersion: string;
  readonly kubeletPort: number;
  /** nodeStatusMaxImages. */
  readonly maxImages: number;
}

export interface OpenNodeStatusDeps {
  readonly clock: Clock;
  readonly host: HostFacts;
  readonly runtime: CriRuntime;
  /** With what device plugins offer. */
  capacity(): ResourceList;
  allocatable(): ResourceList;
  health(): RuntimeHealth;
  /** What is wrong between the node and its cluster. */
  warnings(): readonly string[];
  onHealthChange(listener: () => void): Disposable;
  /** Calls back when device plugins changed what they offer. */
  onDevicesChange(listener: () => void): Disposable;
  readonly housekeeping: {
    readonly pressures: ReadonlySet<PressureCondition>;
    readonly shuttingDown: boolean;
    onChange(listener: () => void): Disposable;
  };
}

/** The node's status with everything this agent knows, for whoever writes it to a cluster. */
export function openNodeStatus(options: OpenNodeStatusOptions, deps: OpenNodeStatusDeps): FullNodeStatus & Disposable {
  const { clock, host, runtime, housekeeping } = deps;
  const status = new FullNodeStatus(
    { ...options, addresses: host.addresses },
    {
      clock,
      host,
      runtime,
      capacity: () => deps.capacity(),
      allocatable: () => deps.allocatable(),
      pressures: () => housekeeping.pressures,
      readiness: () => {
        const { ready, message, network } = deps.health();
        return {
          runtime: { ready, message },
          network,
          shuttingDown: housekeeping.shuttingDown,
          problems: [],
          warnings: deps.warnings(),
        };
      },
    },
  );
  const changed = (): void => status.changed();
  const subscriptions = [housekeeping.onChange(changed), deps.onDevicesChange(changed), deps.onHealthChange(changed)];
  return Object.assign(status, {
    [Symbol.dispose]: () => {
      for (const subscription of subscriptions) subscription[Symbol.dispose]();
    },
  });
}
