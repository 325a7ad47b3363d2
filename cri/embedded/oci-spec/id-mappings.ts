import type { OciIdMapping } from './oci-types.js';

/** The map of a pod's user namespace in OCI words, the same for users and groups. */
export function idMappings(record: {
  readonly userNamespace?: { readonly hostId: number; readonly length: number } | undefined;
}): readonly OciIdMapping[] | undefined {
  if (record.userNamespace === undefined) return undefined;
  const { hostId, length } = record.userNamespace;
  return [{ containerID: 0, hostID: hostId, size: length }];
}
