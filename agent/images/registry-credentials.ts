import type { AuthConfig } from '../../proto/generated/cri-v1.js';
import type { Secret } from '../api/index.js';

/** One entry of a docker config file. */
interface DockerEntry {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/** Credentials by registry pattern (`registry.example.com`, `*.example.com/team`, with or without scheme). */
export type RegistryCredentials = ReadonlyMap<string, AuthConfig>;

/** Reads a pull secret of either type; throws with the reason when it is not a docker config. */
export function credentialsOfSecret(secret: Secret): RegistryCredentials {
  const config = secret.data?.['.dockerconfigjson'];
  if (secret.type === 'kubernetes.io/dockerconfigjson' && config !== undefined) {
    return parseDockerConfig((JSON.parse(decode(config)) as { auths?: Record<string, DockerEntry> }).auths ?? {});
  }
  const legacy = secret.data?.['.dockercfg'];
  if (secret.type === 'kubernetes.io/dockercfg' && legacy !== undefined) {
    return parseDockerConfig(JSON.parse(decode(legacy)) as Record<string, DockerEntry>);
  }
  return new Map();
}

export function parseDockerConfig(entries: Readonly<Record<string, DockerEntry>>): RegistryCredentials {
  const credentials = new Map<string, AuthConfig>();
  for (const [registry, entry] of Object.entries(entries)) {
    const [username, ...password] = entry.auth === undefined ? [] : decode(entry.auth).split(':');
    credentials.set(
      registry
        .replace(/^https?:\/\//, '')
        .replace(/\/v[12]\/?$/, '')
        .replace(/\/$/, ''),
      {
        username: entry.username ?? username ?? '',
        password: entry.password ?? password.join(':'),
        identityToken: entry.identitytoken ?? '',
        registryToken: entry.registrytoken ?? '',
        serverAddress: registry,
      },
    );
  }
  return credentials;
}

/** Candidates for an image, the most specific pattern first (facts 11.3). */
export function matchingCredentials(image: string, credentials: RegistryCredentials): AuthConfig[] {
  const target = withRegistry(image);
  return [...credentials]
    .filter(([pattern]) => matches(pattern, target))
    .sort(([a], [b]) => b.length - a.length || a.localeCompare(b))
    .map(([, auth]) => auth);
}

/** `busybox` is `docker.io/library/busybox`: the first part names a registry only with a dot, a port or as localhost. */
function withRegistry(image: string): string {
  const name = image.replace(/@.*$/, '');
  const [first = ''] = name.split('/');
  const named = name.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  return named ? name : `docker.io/${name.includes('/') ? name : `library/${name}`}`;
}

function matches(pattern: string, target: string): boolean {
  const [wantedHost = '', ...wantedPath] = (pattern === 'index.docker.io' ? 'docker.io' : pattern).split('/');
  const [host = '', ...path] = target.split('/');
  const [wantedName = '', wantedPort] = wantedHost.split(':');
  const [name = '', port] = host.split(':');
  if (wantedPort !== undefined && wantedPort !== port) return false;
  if (wantedPort === undefined && port !== undefined) return false;
  const wantedParts = wantedName.split('.');
  const parts = name.split('.');
  if (wantedParts.length !== parts.length) return false;
  if (!wantedParts.every((part, index) => part === '*' || part === parts[index])) return false;
  return path.join('/').startsWith(wantedPath.join('/'));
}

const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');
