import type { Clock } from '../../base/clock.js';
import type { CriRuntime } from '../../cri/index.js';
import type { ResourceList } from '../api/index.js';
import type { RuntimeHealth } from '../runtimes/runtime-health.js';
import type { PressureCondition } from '../eviction/index.js';
import { FullNodeStatus } from './full-node-status.js';
import type { HostFacts } from './host-facts.js';
import { LiveConditions, type LiveConditionsDeps } from './live-conditions.js';
import type { Readiness } from './node-conditions.js';

export interface OpenNodeStatusOptions {
  readonly nodeName: string;
  readonly kubeletVersion: string;
  readonly kubeletPort: number;
  /** nodeStatusMaxImages. */
  readonly maxImages: number;
}

/** What the conditions of the node are made of. */
export interface ConditionParts {
  readonly clock: Clock;
  health(): RuntimeHealth;
  /** What is wrong between the node and its cluster. */
  warnings(): readonly string[];
  onHealthChange(listener: () => void): Disposable;
  readonly housekeeping: {
    readonly pressures: ReadonlySet<PressureCondition>;
    readonly shuttingDown: boolean;
    onChange(listener: () => void): Disposable;
  };
}

export interface OpenNodeStatusDeps extends ConditionParts {
  readonly host: HostFacts;
  readonly runtime: CriRuntime;
  /** With what device plugins offer. */
  capacity(): ResourceList;
  allocatable(): ResourceList;
  /** Calls back when device plugins changed what they offer. */
  onDevicesChange(listener: () => void): Disposable;
  onAddressesChange(listener: () => void): Disposable;
}

/** The node's conditions, for who asks this agent itself. */
export function openLiveConditions(
  parts: ConditionParts & Pick<LiveConditionsDeps, 'turned'>,
): LiveConditions & Disposable {
  const conditions = new LiveConditions({
    clock: parts.clock,
    pressures: () => parts.housekeeping.pressures,
    readiness: () => readinessOf(parts),
    turned: (before, now) => parts.turned(before, now),
  });
  const changed = (): void => conditions.changed();
  return endingWith(conditions, [parts.housekeeping.onChange(changed), parts.onHealthChange(changed)]);
}

/** The node's status with everything this agent knows, for whoever writes it to a cluster. */
export function openNodeStatus(options: OpenNodeStatusOptions, deps: OpenNodeStatusDeps): FullNodeStatus & Disposable {
  const { clock, host, runtime, housekeeping } = deps;
  const status = new FullNodeStatus(options, {
    clock,
    host,
    runtime,
    capacity: () => deps.capacity(),
    allocatable: () => deps.allocatable(),
    pressures: () => housekeeping.pressures,
    readiness: () => readinessOf(deps),
  });
  const changed = (): void => status.changed();
  return endingWith(status, [
    housekeeping.onChange(changed),
    deps.onDevicesChange(changed),
    deps.onAddressesChange(changed),
    deps.onHealthChange(changed),
  ]);
}

function readinessOf(parts: ConditionParts): Readiness {
  const { ready, message, network } = parts.health();
  const { shuttingDown } = parts.housekeeping;
  return { runtime: { ready, message }, network, shuttingDown, problems: [], warnings: parts.warnings() };
}

function endingWith<T extends object>(value: T, subscriptions: readonly Disposable[]): T & Disposable {
  return Object.assign(value, {
    [Symbol.dispose]: () => {
      for (const subscription of subscriptions) subscription[Symbol.dispose]();
    },
  });
}
