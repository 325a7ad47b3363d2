import type { DeviceManager, DraManager, PodResourcesFacts } from '../../deviceplugin/index.js';
import { allContainers, podUidOf, type Pod } from '../api/index.js';
import { claimingPod } from './pod-admission.js';

/** What monitoring agents are told: pods that are not over, with sidecars and regular containers. */
export function podResourcesFacts(
  manager: DeviceManager,
  dra: DraManager,
  activePods: () => readonly Pod[],
): PodResourcesFacts {
  const lasting = (pod: Pod): string[] =>
    allContainers(pod)
      .filter(({ kind }) => kind === 'sidecar' || kind === 'regular')
      .map(({ container }) => container.name);
  return {
    activePods: () =>
      activePods().map((pod) => ({
        uid: podUidOf(pod),
        namespace: pod.metadata?.namespace ?? 'default',
        name: pod.metadata?.name ?? '',
        containers: lasting(pod),
      })),
    devicesOf: (uid, container) => manager.devicesOf(uid, container),
    allocatableDevices: () => manager.allocatableDevices(),
    cpusOf: () => [],
    allocatableCpus: () => [],
    memoryOf: () => [],
    allocatableMemory: () => [],
    dynamicResourcesOf: (uid, name) => {
      const pod = activePods().find((each) => podUidOf(each) === uid);
      const found = pod && allContainers(pod).find(({ container }) => container.name === name);
      if (!found) return [];
      return dra.dynamicResourcesOf(claimingPod(pod), { name, claims: found.container.resources?.claims });
    },
  };
}
