import { findContainer, isPodLimited, podUidOf, type Pod } from '../api/index.js';
import type { RuntimeFacts } from '../podloop/pod-facts.js';
import type { MonitoredPod } from './resource-monitor.js';

/** A pod as its usage is measured: what its loop last saw running. */
export function monitoredPod(pod: Pod, seen: RuntimeFacts, cgroup: string): MonitoredPod {
  const running = seen.containers.filter(({ state }) => state === 'running');
  const startTime = pod.status?.startTime;
  return {
    uid: podUidOf(pod),
    namespace: pod.metadata?.namespace ?? 'default',
    name: pod.metadata?.name ?? '',
    startedAt: startTime === undefined ? (seen.sandboxes.at(-1)?.createdAt ?? 0) : Date.parse(startTime),
    cgroup,
    hostNetwork: pod.spec?.hostNetwork === true,
    cpuLimited: isPodLimited(pod, 'cpu'),
    containers: running.map(({ name, id, image, startedAt, logPath }) => ({
      name,
      id,
      image,
      startedAt,
      logPath,
      cpuLimited: findContainer(pod, name)?.container.resources?.limits?.['cpu'] !== undefined,
    })),
  };
}
