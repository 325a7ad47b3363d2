import type { DeviceManager, DraManager, PodResourcesFacts } from '../../deviceplugin/index.js';
import { allContainers, podUidOf, type Pod } from '../api/index.js';
import { claimingPod } from './pod-admission.js';

/** What the CPU and memory managers gave to containers alone. */
export type ExclusiveResources = Pick<
  PodResourcesFacts,
  'cpusOf' | 'allocatableCpus' | 'memoryOf' | 'allocatableMemory'
>;

const nothing: ExclusiveResources = {
  cpusOf: () => [],
  allocatableCpus: () => [],
  memoryOf: () => [],
  allocatableMemory: () => [],
};

/** What monitoring agents are told: pods that are not over, with sidecars and regular containers. */
export function podResourcesFacts(
  manager: DeviceManager,
  dra: DraManager,
  activePods: () => readonly Pod[],
  exclusive: ExclusiveResources = nothing,
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
    cpusOf: (uid, container) => exclusive.cpusOf(uid, container),
    allocatableCpus: () => exclusive.allocatableCpus(),
    memoryOf: (uid, container) => exclusive.memoryOf(uid, container),
    allocatableMemory: () => exclusive.allocatableMemory(),
    dynamicResourcesOf: (uid, name) => {
      const pod = activePods().find((each) => podUidOf(each) === uid);
      const found = pod && allContainers(pod).find(({ container }) => container.name === name);
      if (!found) return [];
      return dra.dynamicResourcesOf(claimingPod(pod), { name, claims: found.container.resources?.claims });
    },
  };
}
