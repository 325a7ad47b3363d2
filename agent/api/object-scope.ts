const clusterScoped = new Set([
  'Node',
  'Namespace',
  'PersistentVolume',
  'StorageClass',
  'CSIDriver',
  'CSINode',
  'VolumeAttachment',
  'RuntimeClass',
  'PriorityClass',
  'ResourceSlice',
  'DeviceClass',
  'CertificateSigningRequest',
  'ClusterTrustBundle',
]);

/** True for kinds that live in a namespace. */
export function isNamespaced(kind: string): boolean {
  return !clusterScoped.has(kind);
}
