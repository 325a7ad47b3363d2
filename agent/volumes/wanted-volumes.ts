import { allContainers, podUidOf, type Container, type Pod, type Volume } from '../api/index.js';
import type { PodVolume, VolumeOrigin } from './volume-plugin.js';

export interface WantedVolume {
  readonly volume: Volume;
  /** Some container mounts it, or takes it as a block device. */
  readonly mounted: boolean;
  readonly block: boolean;
}

/** The volumes that a container mounts, takes as a device or reads its environment from, in the order of the spec. */
export function wantedVolumes(pod: Pod): WantedVolume[] {
  const mounted = new Set<string>();
  const devices = new Set<string>();
  for (const { container } of allContainers(pod)) {
    for (const { name } of container.volumeMounts ?? []) mounted.add(name);
    for (const { name } of container.volumeDevices ?? []) devices.add(name);
    for (const { valueFrom } of container.env ?? [])
      if (valueFrom?.fileKeyRef) mounted.add(valueFrom.fileKeyRef.volumeName);
  }
  return (pod.spec?.volumes ?? [])
    .filter(({ name }) => mounted.has(name) || devices.has(name))
    .map((volume) => ({ volume, mounted: mounted.has(volume.name), block: devices.has(volume.name) }));
}

/** Undefined unless every init and regular container is sure to run as the same user. */
export function commonUser(pod: Pod): number | undefined {
  const { initContainers = [], containers = [], securityContext } = pod.spec ?? {};
  const users = new Set(
    [...initContainers, ...containers].map(
      (container: Container) => container.securityContext?.runAsUser ?? securityContext?.runAsUser,
    ),
  );
  const [user] = users;
  return users.size === 1 ? user : undefined;
}

export function podVolume(pod: Pod, { volume, block }: WantedVolume, origin: VolumeOrigin): PodVolume {
  const persistent = origin.kind === 'persistent';
  return {
    pod,
    uid: podUidOf(pod),
    name: volume.name,
    specName: persistent ? (origin.persistentVolume.metadata?.name ?? volume.name) : volume.name,
    origin,
    readOnly: persistent && (volume.persistentVolumeClaim?.readOnly ?? false),
    block,
    fsGroup: pod.spec?.securityContext?.fsGroup,
    fsUser: commonUser(pod),
  };
}

/**
 * What a volume's content depends on besides objects of the control plane: labels, annotations and resources of the pod itself, for
 * downward API files. Empty when no volume looks at them.
 */
export function downwardKey(pod: Pod): string {
  const looks = (pod.spec?.volumes ?? []).some(
    ({ downwardAPI, projected }) => downwardAPI || projected?.sources?.some((source) => source.downwardAPI),
  );
  if (!looks) return '';
  const { labels, annotations } = pod.metadata ?? {};
  const resources = allContainers(pod).map(({ container }) => container.resources);
  return JSON.stringify([labels, annotations, resources, pod.spec?.resources]);
}
