const secretKey = /secret|password|passwd|token|credential|authorization|^auth$|\.dockerconfigjson|private-?key/i;
const mask = '***';
/** Deeper values are cut: a record is for reading, not for replay. */
const deepest = 12;
const longestText = 4096;

/** A copy fit to be kept: values under keys that name secrets are masked, long texts cut, bytes counted instead of shown. */
export function maskSecrets(value: unknown, depth = 0): unknown {
  if (typeof value === 'string')
    return value.length > longestText ? `${value.slice(0, longestText)}... (${value.length} characters)` : value;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return `(${value.length} bytes)`;
  if (depth >= deepest) return '...';
  if (Array.isArray(value)) return value.map((item) => maskSecrets(item, depth + 1));
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    copy[key] =
      secretKey.test(key) && item !== '' && item != null && typeof item !== 'boolean'
        ? mask
        : maskSecrets(item, depth + 1);
  }
  return copy;
}
