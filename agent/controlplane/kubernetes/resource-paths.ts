import type { ReadableKind } from '../control-plane.js';

interface Resource {
  readonly group: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const core = '/api/v1';
const storage = '/apis/storage.k8s.io/v1';
const certificates = '/apis/certificates.k8s.io/v1beta1';

const resources: { readonly [K in ReadableKind]: Resource } = {
  ConfigMap: { group: core, plural: 'configmaps', namespaced: true },
  Secret: { group: core, plural: 'secrets', namespaced: true },
  ServiceAccount: { group: core, plural: 'serviceaccounts', namespaced: true },
  Service: { group: core, plural: 'services', namespaced: true },
  PersistentVolumeClaim: { group: core, plural: 'persistentvolumeclaims', namespaced: true },
  PersistentVolume: { group: core, plural: 'persistentvolumes', namespaced: false },
  StorageClass: { group: storage, plural: 'storageclasses', namespaced: false },
  VolumeAttachment: { group: storage, plural: 'volumeattachments', namespaced: false },
  CSIDriver: { group: storage, plural: 'csidrivers', namespaced: false },
  CSINode: { group: storage, plural: 'csinodes', namespaced: false },
  RuntimeClass: { group: '/apis/node.k8s.io/v1', plural: 'runtimeclasses', namespaced: false },
  PriorityClass: { group: '/apis/scheduling.k8s.io/v1', plural: 'priorityclasses', namespaced: false },
  ResourceClaim: { group: '/apis/resource.k8s.io/v1', plural: 'resourceclaims', namespaced: true },
  ClusterTrustBundle: { group: certificates, plural: 'clustertrustbundles', namespaced: false },
  PodCertificateRequest: { group: certificates, plural: 'podcertificaterequests', namespaced: true },
  Node: { group: core, plural: 'nodes', namespaced: false },
  Pod: { group: core, plural: 'pods', namespaced: true },
};

/** Path of all objects of a kind, of one namespace where the kind has them and one is named. */
export function listPath(kind: ReadableKind, namespace: string): string {
  const { group, plural, namespaced } = resources[kind];
  return namespaced && namespace !== ''
    ? `${group}/namespaces/${encodeURIComponent(namespace)}/${plural}`
    : `${group}/${plural}`;
}

export function objectPath(kind: ReadableKind, namespace: string, name: string): string {
  return `${listPath(kind, namespace)}/${encodeURIComponent(name)}`;
}

/** Where an object may be, the newest version of its API first; a cluster older than an API's first stable one has another. */
export function objectPaths(kind: ReadableKind, namespace: string, name: string): readonly string[] {
  const newest = objectPath(kind, namespace, name);
  if (kind !== 'ResourceClaim') return [newest];
  const { group } = resources.ResourceClaim;
  return ['v1', 'v1beta2', 'v1beta1'].map((version) => newest.replace(group, group.replace(/v1$/, version)));
}

/** Where all that drivers offer for dynamic allocation may be, in the same order. */
export const resourceSlicePaths: readonly string[] = ['v1', 'v1beta2', 'v1beta1'].map(
  (version) => `${resources.ResourceClaim.group.replace(/v1$/, version)}/resourceslices`,
);

/** Where all trust bundles of a cluster may be, in the same order. */
export const trustBundlePaths: readonly string[] = ['v1', 'v1beta1', 'v1alpha1'].map((version) =>
  listPath('ClusterTrustBundle', '').replace('v1beta1', version),
);

export function isNamespacedKind(kind: ReadableKind): boolean {
  return resources[kind].namespaced;
}

export const leasePath = (name: string): string =>
  `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases${name === '' ? '' : `/${encodeURIComponent(name)}`}`;

export const eventPath = (namespace: string, name = ''): string =>
  `${core}/namespaces/${encodeURIComponent(namespace)}/events${name === '' ? '' : `/${encodeURIComponent(name)}`}`;

export const tokenPath = (namespace: string, serviceAccount: string): string =>
  `${objectPath('ServiceAccount', namespace, serviceAccount)}/token`;
