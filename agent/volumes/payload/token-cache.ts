import type { Clock } from '../../../base/clock.js';
import type { ControlPlane } from '../../controlplane/control-plane.js';
import { podUidOf, type Pod, type PodUid, type ServiceAccountTokenProjection } from '../../api/index.js';
import { VolumeProblem } from '../volume-error.js';
import type { PodToken } from './content-sources.js';

export interface TokenCacheDeps {
  readonly objects: Pick<ControlPlane, 'createToken'>;
  readonly clock: Clock;
  /** 0 to 1, so that the tokens of many pods are not fetched in one moment. */
  readonly random: () => number;
  /** A token that still holds could not be renewed; it is tried again after so many ms. */
  notRenewed?(pod: Pod, err: unknown, retryInMs: number): void;
}

const longestUseMs = 24 * 3600 * 1000;
const jitterMs = 10_000;
const usualSeconds = 3600;
/** How soon to try again when a token that still holds could not be renewed. */
const retryMs = 10_000;

/** Tokens of pods' service accounts, each bound to its pod: renewed at 80 % of their life or after a day, dropped with the pod. */
export class TokenCache {
  readonly #deps: TokenCacheDeps;
  readonly #tokens = new Map<PodUid, Map<string, PodToken>>();

  constructor(deps: TokenCacheDeps) {
    this.#deps = deps;
  }

  async get(
    pod: Pod,
    audiences: readonly string[],
    seconds: number | undefined,
    signal: AbortSignal,
  ): Promise<PodToken> {
    const uid = podUidOf(pod);
    const key = JSON.stringify([pod.spec?.serviceAccountName ?? '', audiences, seconds ?? null]);
    const mine = this.#tokens.get(uid) ?? new Map<string, PodToken>();
    this.#tokens.set(uid, mine);
    const cached = mine.get(key);
    const now = this.#deps.clock.now();
    if (cached && now < cached.refreshAt) return cached;
    try {
      const fresh = await this.#request(pod, audiences, seconds, signal);
      mine.set(key, fresh);
      return fresh;
    } catch (err) {
      signal.throwIfAborted();
      if (!cached || now >= cached.expiresAt) throw err;
      this.#deps.notRenewed?.(pod, err, retryMs);
      return { ...cached, refreshAt: now + retryMs };
    }
  }

  async forProjection(
    pod: Pod,
    { audience = '', expirationSeconds }: ServiceAccountTokenProjection,
    signal: AbortSignal,
  ): Promise<PodToken> {
    return await this.get(pod, audience === '' ? [] : [audience], expirationSeconds ?? usualSeconds, signal);
  }

  drop(uid: PodUid): void {
    this.#tokens.delete(uid);
  }

  async #request(
    pod: Pod,
    audiences: readonly string[],
    seconds: number | undefined,
    signal: AbortSignal,
  ): Promise<PodToken> {
    const { name = '', namespace = 'default', uid = '' } = pod.metadata ?? {};
    const account = pod.spec?.serviceAccountName || 'default';
    const answer = await this.#deps.objects.createToken(
      namespace,
      account,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          audiences: [...audiences],
          expirationSeconds: seconds,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
        },
      },
      signal,
    );
    const token = answer.status?.token;
    if (!token)
      throw new VolumeProblem('unavailable', `failed to fetch token for service account ${namespace}/${account}`);
    return this.#entry(token, answer.status?.expirationTimestamp, answer.spec?.expirationSeconds ?? seconds);
  }

  #entry(token: string, expiration: string | undefined, seconds = usualSeconds): PodToken {
    const now = this.#deps.clock.now();
    const parsed = expiration === undefined ? Number.NaN : Date.parse(expiration);
    const expiresAt = Number.isNaN(parsed) ? now + seconds * 1000 : parsed;
    const issuedAt = expiresAt - seconds * 1000;
    const jitter = this.#deps.random() * jitterMs;
    const refreshAt = Math.min(issuedAt + seconds * 800, issuedAt + longestUseMs) - jitter;
    // A clock that differs from the server's must not ask for tokens in a loop.
    return { token, expiresAt, refreshAt: Math.max(refreshAt, now + retryMs) };
  }
}
