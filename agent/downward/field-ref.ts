import { StepError } from '../executors/step-error.js';
import type { Pod } from '../api/index.js';

/** What a field reference may name besides the pod itself. */
export interface NodeFields {
  readonly nodeName: string;
  readonly hostIps: readonly string[];
  readonly podIps: readonly string[];
}

const subscript = /^(metadata\.(?:labels|annotations))\['(.*)'\]$/;

/**
 * Value of a downward API field (facts 12): `metadata.name`, `metadata.labels['k']`, `status.podIP`, ... Whole maps of labels and
 * annotations are sorted `key="escaped value"` lines, which only volumes allow. Undefined for a path that is not one.
 */
export function fieldValue(pod: Pod, path: string, node: NodeFields): string | undefined {
  const { metadata = {}, spec } = pod;
  const keyed = subscript.exec(path);
  if (keyed) {
    const map = keyed[1] === 'metadata.labels' ? metadata.labels : metadata.annotations;
    return map?.[keyed[2] ?? ''] ?? '';
  }
  switch (path) {
    case 'metadata.name':
      return metadata.name ?? '';
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'metadata.labels':
      return mapLines(metadata.labels ?? {});
    case 'metadata.annotations':
      return mapLines(metadata.annotations ?? {});
    case 'spec.nodeName':
      return node.nodeName;
    case 'spec.serviceAccountName':
      return spec?.serviceAccountName ?? '';
    case 'status.hostIP':
      return node.hostIps[0] ?? '';
    case 'status.hostIPs':
      return node.hostIps.join(',');
    case 'status.podIP':
      return node.podIps[0] ?? '';
    case 'status.podIPs':
      return node.podIps.join(',');
    default:
      return undefined;
  }
}

export function requireFieldValue(pod: Pod, path: string, node: NodeFields): string {
  const value = fieldValue(pod, path, node);
  if (value === undefined) {
    throw new StepError('CreateContainerConfigError', `resolve fieldRef ${path}: the downward API has no such field`);
  }
  return value;
}

function mapLines(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join('\n');
}
