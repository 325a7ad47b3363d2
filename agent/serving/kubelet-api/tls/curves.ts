import { BerthError } from '../../../../base/errors.js';

export class CurveError extends BerthError<{ readonly code: 'unknown' }> {}

/** Go's numbers, which are those of TLS, and what OpenSSL calls them. Those of later versions of OpenSSL are left out where it is older. */
const names: Readonly<Record<number, string>> = { 23: 'P-256', 24: 'P-384', 25: 'P-521', 29: 'X25519' };

/** `tlsCurvePreferences` of a configuration; throws where the server could offer none of them. */
export function curveIds(value: unknown): readonly number[] {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return [];
  const known = Array.isArray(value) ? value.filter((id): id is number => names[id as number] !== undefined) : [];
  if (known.length === 0)
    throw new CurveError(
      `read tlsCurvePreferences: none of ${JSON.stringify(value)} is known here; known are ${Object.keys(names).join(', ')}`,
      { code: 'unknown' },
    );
  return known;
}

/** What Node's `ecdhCurve` takes; undefined for its own choice. The order is that of the platform, as in Go. */
export function curveList(ids: readonly number[]): string | undefined {
  if (ids.length === 0) return undefined;
  return [29, 23, 24, 25]
    .filter((id) => ids.includes(id))
    .map((id) => names[id])
    .join(':');
}
