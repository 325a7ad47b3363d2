import type { ConfigMap, KeyToPath, Secret } from '../../api/index.js';
import type { PayloadFile } from '../atomic-writer.js';
import { VolumeProblem } from '../volume-error.js';

export const fallbackMode = 0o644;

/** How a ConfigMap's or Secret's keys become files. */
export interface KeyedSource {
  readonly items?: readonly KeyToPath[] | undefined;
  readonly optional?: boolean | undefined;
  readonly defaultMode: number;
}

type ReadKey = (key: string) => Uint8Array | undefined;

export function configMapPayload(
  source: KeyedSource,
  name: string,
  object: ConfigMap | undefined,
): Map<string, PayloadFile> {
  requireObject('configmap', name, object, source);
  const { data = {}, binaryData = {} } = object ?? {};
  const read: ReadKey = (key) => {
    const text = own(data, key);
    if (text !== undefined) return Buffer.from(text);
    const base64 = own(binaryData, key);
    return base64 === undefined ? undefined : Buffer.from(base64, 'base64');
  };
  return keyedPayload(
    source,
    [...Object.keys(data), ...Object.keys(binaryData)],
    read,
    (key) => `configmap references non-existent config key: ${key}`,
  );
}

export function secretPayload(source: KeyedSource, name: string, object: Secret | undefined): Map<string, PayloadFile> {
  requireObject('secret', name, object, source);
  const { data = {}, stringData = {} } = object ?? {};
  const read: ReadKey = (key) => {
    const text = own(stringData, key);
    if (text !== undefined) return Buffer.from(text);
    const base64 = own(data, key);
    return base64 === undefined ? undefined : Buffer.from(base64, 'base64');
  };
  return keyedPayload(
    source,
    [...Object.keys(data), ...Object.keys(stringData)],
    read,
    (key) => `references non-existent secret key: ${key}`,
  );
}

function keyedPayload(
  { items = [], optional = false, defaultMode }: KeyedSource,
  keys: readonly string[],
  read: ReadKey,
  missing: (key: string) => string,
): Map<string, PayloadFile> {
  const payload = new Map<string, PayloadFile>();
  const wanted = items.length > 0 ? items : keys.map((key): KeyToPath => ({ key, path: key }));
  for (const { key, path, mode } of wanted) {
    const data = read(key);
    if (data) payload.set(path, { data, mode: mode ?? defaultMode });
    else if (!optional) throw new VolumeProblem('refused', missing(key));
  }
  return payload;
}

function requireObject(kind: string, name: string, object: unknown, { optional = false }: KeyedSource): void {
  if (object === undefined && !optional) throw new VolumeProblem('not-found', `${kind} "${name}" not found`);
}

/** A key may be called `constructor`. */
const own = (map: Readonly<Record<string, string>>, key: string): string | undefined =>
  Object.hasOwn(map, key) ? map[key] : undefined;
