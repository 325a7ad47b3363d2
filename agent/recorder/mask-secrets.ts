const secretKey = /secret|password|passwd|token|credential|authorization|^auth$|\.dockerconfigjson|private-?key/i;
const mask = '***';
/** Deeper values are cut: a record is for reading, not for replay. */
const deepest = 12;
const longestText = 4096;

/** Keys that were judged are kept up to here: those of our own messages are few, those of labels may be any. */
const mostKeys = 2000;

/** Makes copies fit to be kept: values under keys that name secrets are masked, long texts cut, bytes counted instead of shown. */
export class SecretMask {
  /** The same keys come with every call, and judging one costs more than copying its value. */
  readonly #judged = new Map<string, boolean>();

  copy(value: unknown, depth = 0): unknown {
    if (typeof value === 'string')
      return value.length > longestText ? `${value.slice(0, longestText)}... (${value.length} characters)` : value;
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Uint8Array) return `(${value.length} bytes)`;
    if (depth >= deepest) return '...';
    if (Array.isArray(value)) return value.map((item) => this.copy(item, depth + 1));
    const copy: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      const hasValue = item !== '' && item != null && typeof item !== 'boolean';
      copy[key] = hasValue && this.#namesSecret(key) ? mask : this.copy(item, depth + 1);
    }
    return copy;
  }

  #namesSecret(key: string): boolean {
    const known = this.#judged.get(key);
    if (known !== undefined) return known;
    const judged = secretKey.test(key);
    if (this.#judged.size < mostKeys) this.#judged.set(key, judged);
    return judged;
  }
}
