import type { Quantity } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { NodeFields } from '../downward/field-ref.js';
import type { VolumeManager } from '../volumes/volume-manager.js';
import type { EnvironmentSources } from './environment.js';

/** Environment values from the control plane and the pod's volumes. */
export function environmentSources(
  controlPlane: Pick<ControlPlane, 'get' | 'list'>,
  volumes: Pick<VolumeManager, 'readVolumeFile'>,
  node: NodeFields,
  allocatable: Readonly<Record<string, Quantity>>,
): EnvironmentSources {
  return {
    configMap: (namespace, name, signal) => controlPlane.get('ConfigMap', namespace, name, signal),
    secret: (namespace, name, signal) => controlPlane.get('Secret', namespace, name, signal),
    services: (namespace, signal) => controlPlane.list('Service', namespace, signal),
    volumeFile: (pod, volume, path, signal) => volumes.readVolumeFile(pod, volume, path, signal),
    node,
    allocatable,
  };
}
