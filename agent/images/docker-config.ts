import type { AuthConfig } from '../../proto/generated/cri-v1.js';
import type { Secret } from '../api/index.js';

/** Credentials by what they match: `registry.example.com`, `*.example.com/team`. */
export type DockerAuths = ReadonlyMap<string, AuthConfig>;

export interface DockerConfig {
  readonly auths: DockerAuths;
  /** Programs the file names for other credentials, with the registry they are for; none of them is run. */
  readonly helpers: readonly string[];
}

/** Reads a pull secret of either type; throws with the reason, which never holds the content, when it is not a docker configuration. */
export function authsOfSecret(secret: Secret): DockerAuths {
  const config = secret.data?.['.dockerconfigjson'];
  if (secret.type === 'kubernetes.io/dockerconfigjson' && config) return readDockerConfig(decode(config)).auths;
  const legacy = secret.data?.['.dockercfg'];
  if (secret.type === 'kubernetes.io/dockercfg' && legacy) return readLegacyConfig(decode(legacy));
  return new Map();
}

/** `config.json` of docker. */
export function readDockerConfig(text: string): DockerConfig {
  const { auths, credsStore, credHelpers } = objectOf(parseJson(text), 'the file');
  const helpers = Object.entries(credHelpers === undefined ? {} : objectOf(credHelpers, 'credHelpers'));
  return {
    auths: auths === undefined || auths === null ? new Map() : authsOf(objectOf(auths, 'auths')),
    helpers: [
      ...helpers.map(([registry, program]) => `credHelpers ${String(program)} for ${registry}`),
      ...(typeof credsStore === 'string' && credsStore !== '' ? [`credsStore ${credsStore}`] : []),
    ],
  };
}

/** `.dockercfg`: the entries alone. */
export function readLegacyConfig(text: string): DockerAuths {
  return authsOf(objectOf(parseJson(text), 'the file'));
}

function authsOf(entries: Readonly<Record<string, unknown>>): DockerAuths {
  return new Map(
    Object.entries(entries).map(([registry, entry]): [string, AuthConfig] => {
      return [patternOf(registry), authOf(objectOf(entry, registry), registry)];
    }),
  );
}

/** Docker takes `https://HOST/v1/` for HOST. */
export function patternOf(registry: string): string {
  const bare = registry.replace(/^https?:\/\//, '').replace(/\/v[12](?=\/|$)/, '');
  return bare.endsWith('/') ? bare.slice(0, -1) : bare;
}

function authOf(entry: Readonly<Record<string, unknown>>, registry: string): AuthConfig {
  const text = (key: string): string => {
    const value = entry[key];
    if (value === undefined || value === null) return '';
    if (typeof value !== 'string') throw new Error(`${key} of ${registry} is not a text`);
    return value;
  };
  const tokens = {
    ...(text('identitytoken') && { identityToken: text('identitytoken') }),
    ...(text('registrytoken') && { registryToken: text('registrytoken') }),
  };
  if (text('auth') === '') return { username: text('username'), password: text('password'), ...tokens };
  const decoded = decode(text('auth').trim());
  const colon = decoded.indexOf(':');
  if (colon < 0) throw new Error(`auth of ${registry} is not base64 of user:password`);
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1), ...tokens };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The parser's own words quote the text.
    throw new Error('it is not JSON');
  }
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${what} is not an object`);
  return value as Record<string, unknown>;
}

const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8').replace(/\0+$/, '');
