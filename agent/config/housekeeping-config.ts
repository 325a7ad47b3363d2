import {
  defaultContainerPolicy,
  defaultImagePolicy,
  type ContainerPolicy,
  type ImagePolicy,
  type LogRotationPolicy,
} from '../garbage/index.js';
import type { EvictionSettings } from '../eviction/index.js';
import { noReservations, type Reservations } from '../resources/node-allocatable.js';
import type { ShutdownSettings } from '../shutdown/index.js';

/** How the node is kept fit for its pods: the fields of KubeletConfiguration with the kubelet's defaults. */
export interface HousekeepingConfig {
  readonly images: ImagePolicy;
  readonly containers: ContainerPolicy;
  readonly logs: LogRotationPolicy & { readonly everyMs: number };
  readonly eviction: EvictionSettings & {
    readonly maxPodGraceSeconds: number;
    readonly transitionMs: number;
  };
  /** localStorageCapacityIsolation. */
  readonly localStorageLimits: boolean;
  readonly volumeStatsEveryMs: number;
  readonly reservations: Reservations;
  readonly shutdown: ShutdownSettings;
}

export function defaultHousekeeping(): HousekeepingConfig {
  return {
    images: defaultImagePolicy,
    containers: defaultContainerPolicy,
    logs: { maxBytes: 10 * 1024 * 1024, maxFiles: 5, everyMs: 10_000 },
    eviction: {
      evictionHard: undefined,
      evictionSoft: {},
      evictionSoftGracePeriodMs: {},
      evictionMinimumReclaim: {},
      mergeDefaultEvictionSettings: false,
      maxPodGraceSeconds: 0,
      transitionMs: 300_000,
    },
    localStorageLimits: true,
    volumeStatsEveryMs: 60_000,
    reservations: noReservations,
    shutdown: { periodMs: 0, criticalMs: 0, byPriority: [] },
  };
}
