import { Buffer } from 'node:buffer';
import { defaultPod } from './default-pod.js';
import type { KubeObject, PersistentVolume, PersistentVolumeClaim, Secret, Service } from './generated/types.js';

/** A copy of the object with what the API server fills in on creation; kinds without defaults come back as they are. */
export function defaultObject(given: KubeObject): KubeObject {
  switch (given.kind) {
    case 'Pod':
      return defaultPod(given);
    case 'Secret':
      return defaultSecret(given);
    case 'PersistentVolume':
      return defaultPersistentVolume(given);
    case 'PersistentVolumeClaim':
      return defaultPersistentVolumeClaim(given);
    case 'Service':
      return defaultService(given);
    case 'ConfigMap':
      return { ...given, data: given.data ?? {} };
    case 'Namespace': {
      const name = given.metadata?.name ?? '';
      const labels = { ...given.metadata?.labels, 'kubernetes.io/metadata.name': name };
      return { ...given, metadata: { ...given.metadata, labels } };
    }
    default:
      return given;
  }
}

/** `stringData` is for writing only: it goes into `data` and wins over what is there. */
export function defaultSecret(given: Secret): Secret {
  const { stringData, ...secret } = structuredClone(given);
  const added = Object.entries(stringData ?? {}).map(([key, text]) => [
    key,
    Buffer.from(text, 'utf8').toString('base64'),
  ]);
  return { ...secret, type: secret.type ?? 'Opaque', data: { ...secret.data, ...Object.fromEntries(added) } };
}

function defaultPersistentVolume(given: PersistentVolume): PersistentVolume {
  const volume = structuredClone(given);
  volume.spec ??= {};
  volume.spec.persistentVolumeReclaimPolicy ??= 'Retain';
  volume.spec.volumeMode ??= 'Filesystem';
  volume.status = { ...volume.status, phase: volume.status?.phase ?? 'Pending' };
  return volume;
}

function defaultPersistentVolumeClaim(given: PersistentVolumeClaim): PersistentVolumeClaim {
  const claim = structuredClone(given);
  claim.spec ??= {};
  claim.spec.volumeMode ??= 'Filesystem';
  claim.status = { ...claim.status, phase: claim.status?.phase ?? 'Pending' };
  return claim;
}

function defaultService(given: Service): Service {
  const service = structuredClone(given);
  const { spec } = service;
  if (spec === undefined) return service;
  spec.type ??= 'ClusterIP';
  spec.sessionAffinity ??= 'None';
  if (spec.sessionAffinity === 'ClientIP') spec.sessionAffinityConfig ??= { clientIP: { timeoutSeconds: 10_800 } };
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') spec.externalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
  for (const port of spec.ports ?? []) {
    port.protocol ??= 'TCP';
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port;
  }
  return service;
}
