import type { ObjectRow } from './contract.js';

/** A Secret with the sizes of its values in their place; other objects as they are. Base64 grows by a third. */
export function withoutSecrets(object: ObjectRow): ObjectRow {
  if (object.kind !== 'Secret') return object;
  const { data, stringData, ...rest } = object as ObjectRow & {
    data?: Record<string, string>;
    stringData?: Record<string, string>;
  };
  const sizes = [
    ...Object.entries(data ?? {}).map(([key, text]) => [key, Buffer.byteLength(text, 'base64')] as const),
    ...Object.entries(stringData ?? {}).map(([key, text]) => [key, Buffer.byteLength(text)] as const),
  ];
  return {
    ...rest,
    metadata: withoutLastApplied(rest.metadata),
    data: Object.fromEntries(sizes.map(([key, bytes]) => [key, `(${bytes} bytes)`])),
  };
}

/** kubectl keeps a whole copy of what was applied in an annotation. */
function withoutLastApplied(metadata: ObjectRow['metadata']): ObjectRow['metadata'] {
  const { annotations } = metadata as { annotations?: Record<string, string> };
  if (!annotations) return metadata;
  const { 'kubectl.kubernetes.io/last-applied-configuration': _copy, ...others } = annotations;
  return { ...metadata, annotations: others } as ObjectRow['metadata'];
}
