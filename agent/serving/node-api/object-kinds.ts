import type { ReadableKind } from '../../controlplane/control-plane.js';

/** Kinds that can be listed and applied on a machine without a cluster, with the words people use for them. */
export const objectKinds: Readonly<Partial<Record<ReadableKind, readonly string[]>>> = {
  ConfigMap: ['configmaps', 'configmap', 'cm'],
  Secret: ['secrets', 'secret'],
  ServiceAccount: ['serviceaccounts', 'serviceaccount', 'sa'],
  Service: ['services', 'service', 'svc'],
  PersistentVolumeClaim: ['persistentvolumeclaims', 'persistentvolumeclaim', 'pvc'],
  PersistentVolume: ['persistentvolumes', 'persistentvolume', 'pv'],
  StorageClass: ['storageclasses', 'storageclass', 'sc'],
  CSIDriver: ['csidrivers', 'csidriver'],
  CSINode: ['csinodes', 'csinode'],
  RuntimeClass: ['runtimeclasses', 'runtimeclass'],
  PriorityClass: ['priorityclasses', 'priorityclass', 'pc'],
  ResourceClaim: ['resourceclaims', 'resourceclaim'],
  ClusterTrustBundle: ['clustertrustbundles', 'clustertrustbundle'],
  VolumeAttachment: ['volumeattachments', 'volumeattachment'],
};

/** The kind a word stands for; the kind itself is one, in any case. */
export function kindOf(word: string): ReadableKind | undefined {
  const asked = word.toLowerCase();
  const found = Object.entries(objectKinds).find(
    ([kind, words]) => kind.toLowerCase() === asked || words.includes(asked),
  );
  return found?.[0] as ReadableKind | undefined;
}
