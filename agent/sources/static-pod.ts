import { createHash } from 'node:crypto';
import { canonicalJson, podAnnotations, type ManifestProblem, type Pod, type PodSpec } from '../api/index.js';

export interface StaticPodOptions {
  readonly nodeName: string;
  /**
   * True appends `-NODE` to the name, as the kubelet does: pods of many nodes share one namespace of the API server. On a
   * machine without a cluster a user expects the name that is in the manifest: false.
   */
  readonly nameSuffix: boolean;
  /**
   * True accepts references to objects of a control plane (ConfigMaps, Secrets, claims, service accounts). False refuses
   * them, as the kubelet does: in a cluster a static pod must be able to run without the API server.
   */
  readonly apiReferences: boolean;
}

export type StaticOrigin =
  { readonly source: 'file'; readonly path: string } | { readonly source: 'http'; readonly url: string };

/**
 * Makes a pod of a manifest into the pod this node runs: identity, node, toleration, annotations. `written` is the pod
 * before defaults; `seen` the time it was first seen, RFC 3339.
 *
 * The UID covers content, node and origin: a changed manifest is another pod, which replaces the first. The kubelet's own
 * value is a hash over a dump of Go memory and cannot be had here; only its shape (32 hex digits) is the same.
 */
export function staticPod(
  defaulted: Pod,
  written: Pod,
  origin: StaticOrigin,
  options: StaticPodOptions,
  seenAt: (uid: string) => string,
): Pod {
  const node = options.nodeName.toLowerCase();
  const uid = nonEmpty(written.metadata?.uid) ?? staticUid(written, origin, node);
  const name = defaulted.metadata?.name ?? '';
  const { spec = { containers: [] }, metadata } = defaulted;
  return {
    ...defaulted,
    metadata: {
      ...metadata,
      uid,
      name: options.nameSuffix ? `${name}-${node}` : name,
      namespace: nonEmpty(metadata?.namespace) ?? 'default',
      annotations: {
        ...metadata?.annotations,
        [podAnnotations.source]: origin.source,
        [podAnnotations.hash]: uid,
        [podAnnotations.seen]: seenAt(uid),
      },
    },
    spec: { ...spec, nodeName: options.nodeName, tolerations: withNoExecute(spec) },
    status: { ...defaulted.status, phase: 'Pending' },
  };
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function staticUid(written: Pod, origin: StaticOrigin, node: string): string {
  const { status: _, ...pod } = written;
  const place = origin.source === 'file' ? `file:${origin.path}` : `url:${origin.url}`;
  return createHash('sha256')
    .update([canonicalJson(pod), `host:${node}`, place].join('\0'))
    .digest('hex')
    .slice(0, 32);
}

/** A node's own pods stay whatever taint it gets. */
function withNoExecute(spec: PodSpec): PodSpec['tolerations'] {
  const tolerations = spec.tolerations ?? [];
  const present = tolerations.some(
    ({ key = '', operator, effect }) => key === '' && operator === 'Exists' && (effect ?? 'NoExecute') === 'NoExecute',
  );
  return present ? tolerations : [...tolerations, { operator: 'Exists', effect: 'NoExecute' }];
}

const apiVolumes = [
  'persistentVolumeClaim',
  'ephemeral',
  'csi',
  'azureFile',
  'glusterfs',
  'secret',
  'configMap',
] as const;
const volumesWithSecrets = ['cephfs', 'cinder', 'flexVolume', 'rbd', 'scaleIO', 'iscsi', 'storageos'] as const;
const apiProjections = ['secret', 'configMap', 'serviceAccountToken', 'clusterTrustBundle', 'podCertificate'] as const;

/** Where a pod refers to objects of an API server; a static pod of a cluster's node must not. */
export function apiReferences(pod: Pod): ManifestProblem[] {
  const problems: ManifestProblem[] = [];
  const refuse = (path: string, what: string): void => {
    problems.push({ code: 'invalid', path, message: `Forbidden: static pods may not reference ${what}` });
  };
  const { spec } = pod;
  if (spec === undefined) return problems;
  if ((spec.serviceAccountName ?? '') !== '') refuse('spec.serviceAccountName', 'service accounts');
  for (const [index, { name = '' }] of (spec.imagePullSecrets ?? []).entries())
    if (name !== '') refuse(`spec.imagePullSecrets[${index}]`, 'secrets');
  if ((spec.resourceClaims ?? []).length > 0) refuse('spec.resourceClaims', 'resource claims');
  for (const [index, volume] of (spec.volumes ?? []).entries()) {
    for (const source of apiVolumes) {
      if (volume[source] !== undefined) refuse(`spec.volumes[${index}].${source}`, 'objects of the API server');
    }
    for (const source of volumesWithSecrets) {
      if ((volume[source]?.secretRef?.name ?? '') !== '')
        refuse(`spec.volumes[${index}].${source}.secretRef`, 'secrets');
    }
    for (const [place, projection] of (volume.projected?.sources ?? []).entries()) {
      for (const kind of apiProjections) {
        if (projection[kind] === undefined) continue;
        refuse(`spec.volumes[${index}].projected.sources[${place}].${kind}`, 'objects of the API server');
      }
    }
  }
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    for (const [index, { env = [], envFrom = [] }] of (spec[list] ?? []).entries()) {
      for (const [place, { valueFrom }] of env.entries()) {
        const at = `spec.${list}[${index}].env[${place}].valueFrom`;
        if (valueFrom?.secretKeyRef !== undefined) refuse(`${at}.secretKeyRef`, 'secrets');
        if (valueFrom?.configMapKeyRef !== undefined) refuse(`${at}.configMapKeyRef`, 'configmaps');
      }
      for (const [place, { secretRef, configMapRef }] of envFrom.entries()) {
        if (secretRef !== undefined) refuse(`spec.${list}[${index}].envFrom[${place}].secretRef`, 'secrets');
        if (configMapRef !== undefined) refuse(`spec.${list}[${index}].envFrom[${place}].configMapRef`, 'configmaps');
      }
    }
  }
  return problems;
}
