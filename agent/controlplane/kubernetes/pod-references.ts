import type { Pod } from '../../api/index.js';

/** Keys (`Secret/ns/name`) of the ConfigMaps, Secrets and claims that a pod's spec names. */
export function podReferences(pod: Pod): Set<string> {
  const namespace = pod.metadata?.namespace ?? '';
  const found = new Set<string>();
  const add = (kind: string, name: string | undefined): void => {
    if (name) found.add(`${kind}/${namespace}/${name}`);
  };
  const { spec } = pod;
  for (const { name } of spec?.imagePullSecrets ?? []) add('Secret', name);
  for (const list of [spec?.initContainers, spec?.containers, spec?.ephemeralContainers]) {
    for (const { env = [], envFrom = [] } of list ?? []) {
      for (const { valueFrom } of env) {
        add('ConfigMap', valueFrom?.configMapKeyRef?.name);
        add('Secret', valueFrom?.secretKeyRef?.name);
      }
      for (const { configMapRef, secretRef } of envFrom) {
        add('ConfigMap', configMapRef?.name);
        add('Secret', secretRef?.name);
      }
    }
  }
  for (const volume of spec?.volumes ?? []) {
    add('ConfigMap', volume.configMap?.name);
    add('Secret', volume.secret?.secretName);
    add('Secret', volume.csi?.nodePublishSecretRef?.name);
    add('Secret', volume.flexVolume?.secretRef?.name);
    add('PersistentVolumeClaim', volume.persistentVolumeClaim?.claimName);
    if (volume.ephemeral) add('PersistentVolumeClaim', `${pod.metadata?.name ?? ''}-${volume.name}`);
    for (const { configMap, secret } of volume.projected?.sources ?? []) {
      add('ConfigMap', configMap?.name);
      add('Secret', secret?.name);
    }
  }
  return found;
}
