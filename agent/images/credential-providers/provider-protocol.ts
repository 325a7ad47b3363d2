import { BerthError } from '../../../base/errors.js';
import type { ProgramResult } from '../../../base/run-program.js';
import { parseGoDuration } from '../../config/kubelet/index.js';
import { patternOf, type DockerAuths } from '../docker-config.js';

export type ProviderFailure = { readonly code: 'unavailable' } | { readonly code: 'bad-answer' };

/** A credential provider gave nothing usable. Messages never hold what it printed on standard output: credentials stand there. */
export class ProviderError extends BerthError<ProviderFailure> {}

export interface ProviderAnswer {
  readonly cacheKeyType: 'Image' | 'Registry' | 'Global';
  /** Undefined: the configured one counts. */
  readonly cacheMs: number | undefined;
  readonly auths: DockerAuths;
}

export interface ProviderQuestion {
  readonly apiVersion: string;
  /** The repository, without tag and digest. */
  readonly image: string;
  readonly token: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export function requestText({ apiVersion, image, token, annotations }: ProviderQuestion): string {
  return JSON.stringify({
    kind: 'CredentialProviderRequest',
    apiVersion,
    image,
    ...(token !== '' && { serviceAccountToken: token }),
    ...(Object.keys(annotations).length > 0 && { serviceAccountAnnotations: annotations }),
  });
}

/** How the program ended, with its words on standard error; never with those on standard output. */
export function endOf({ end, stderr }: ProgramResult, secret: string): string {
  const said = (secret === '' ? stderr : stderr.replaceAll(secret, '***')).trim().slice(0, 2000);
  const how = {
    exited: () => `exited with ${(end as { code?: number }).code}`,
    signalled: () => `was killed by ${(end as { signal?: string }).signal}`,
    'timed-out': () => `gave no answer within ${(end as { afterMs?: number }).afterMs} ms`,
    'output-too-large': () => 'printed too much',
    'not-started': () => `could not be started (${(end as { errno?: string }).errno})`,
  }[end.kind]();
  return said === '' ? how : `${how}: ${said}`;
}

export function parseAnswer(name: string, apiVersion: string, stdout: Buffer): ProviderAnswer {
  const bad = (why: string): ProviderError =>
    new ProviderError(`read the answer of credential provider ${name}: ${why}`, { code: 'bad-answer' });
  let root: unknown;
  try {
    root = JSON.parse(stdout.toString('utf8')) as unknown;
  } catch {
    throw bad(stdout.length === 0 ? 'it printed nothing' : 'it is not JSON');
  }
  if (!isObject(root)) throw bad('it is not an object');
  if (root['kind'] !== 'CredentialProviderResponse') throw bad('its kind is not CredentialProviderResponse');
  if (root['apiVersion'] !== apiVersion)
    throw bad(`its apiVersion is not ${apiVersion}, which the configuration says it speaks`);
  const { cacheKeyType, cacheDuration, auth } = root;
  if (cacheKeyType !== 'Image' && cacheKeyType !== 'Registry' && cacheKeyType !== 'Global')
    throw bad('its cacheKeyType is none of Image, Registry, Global');
  const cacheMs = cacheDuration == null ? undefined : durationOf(cacheDuration);
  if (Number.isNaN(cacheMs)) throw bad('its cacheDuration is not a duration such as "10m0s"');
  if (auth != null && !isObject(auth)) throw bad('its auth is not a map');
  const auths = Object.entries(auth ?? {}).map(([pattern, entry]): [string, { username: string; password: string }] => {
    const { username = '', password = '' } = isObject(entry) ? entry : { username: 0 };
    if (typeof username !== 'string' || typeof password !== 'string')
      throw bad(`its auth for ${pattern} holds no username and password`);
    return [patternOf(pattern), { username, password }];
  });
  return { cacheKeyType, cacheMs, auths: new Map(auths) };
}

const durationOf = (value: unknown): number => {
  const ms = typeof value === 'string' ? parseGoDuration(value) : undefined;
  return ms === undefined || ms < 0 ? Number.NaN : ms;
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
