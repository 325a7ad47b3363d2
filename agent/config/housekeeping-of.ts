import { quantityValue } from '../api/index.js';
import { defaultHousekeeping, type HousekeepingConfig } from './housekeeping-config.js';
import type { EnforceLevel } from '../resources/node-allocatable.js';
import { parseGoDuration, type KubeletConfiguration } from './kubelet/index.js';

/** How the node keeps itself fit, as the kubelet's configuration says it; the defaults without one. */
export function housekeepingOf(kubelet: KubeletConfiguration | undefined): HousekeepingConfig {
  const defaults = defaultHousekeeping();
  if (!kubelet) return defaults;
  const grace = Object.entries(kubelet.evictionSoftGracePeriod).map(([signal, text]): [string, number] => {
    return [signal, parseGoDuration(text) ?? 0];
  });
  return {
    ...defaults,
    images: {
      highPercent: kubelet.imageGCHighThresholdPercent,
      lowPercent: kubelet.imageGCLowThresholdPercent,
      minAgeMs: kubelet.imageMinimumGCAge,
      maxAgeMs: kubelet.imageMaximumGCAge,
    },
    logs: {
      maxBytes: quantityValue(kubelet.containerLogMaxSize),
      maxFiles: kubelet.containerLogMaxFiles,
      everyMs: kubelet.containerLogMonitorInterval,
    },
    eviction: {
      evictionHard: kubelet.evictionHard,
      evictionSoft: kubelet.evictionSoft,
      evictionSoftGracePeriodMs: Object.fromEntries(grace),
      evictionMinimumReclaim: kubelet.evictionMinimumReclaim,
      mergeDefaultEvictionSettings: kubelet.mergeDefaultEvictionSettings,
      maxPodGraceSeconds: kubelet.evictionMaxPodGracePeriod,
      transitionMs: kubelet.evictionPressureTransitionPeriod,
    },
    localStorageLimits: kubelet.localStorageCapacityIsolation,
    volumeStatsEveryMs: kubelet.volumeStatsAggPeriod,
    shutdown: {
      periodMs: kubelet.shutdownGracePeriod,
      criticalMs: kubelet.shutdownGracePeriodCriticalPods,
      byPriority: kubelet.shutdownGracePeriodByPodPriority.map(({ priority = 0, shutdownGracePeriodSeconds = 0 }) => {
        return { priority, periodMs: shutdownGracePeriodSeconds * 1000 };
      }),
    },
    reservations: {
      kubeReserved: kubelet.kubeReserved,
      systemReserved: kubelet.systemReserved,
      kubeReservedCgroup: kubelet.kubeReservedCgroup,
      systemReservedCgroup: kubelet.systemReservedCgroup,
      reservedCpus: cpusIn(kubelet.reservedSystemCPUs) ?? 0,
      enforce: kubelet.enforceNodeAllocatable.filter((level) => level !== 'none') as EnforceLevel[],
    },
  };
}

/** How many CPUs a list such as `0-3,8` names; undefined when it is none. */
export function cpusIn(list: string): number | undefined {
  const found = new Set<number>();
  for (const part of list.split(',').filter((each) => each.trim() !== '')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (!match) return undefined;
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (last < first) return undefined;
    for (let cpu = first; cpu <= last; cpu++) found.add(cpu);
  }
  return found.size;
}
