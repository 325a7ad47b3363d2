import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../../../base/clock.js';
import { errorText } from '../../../../base/errors.js';
import type { Logger } from '../../../../base/log.js';
import { orAbort } from '../../../../base/signals.js';
import { HttpError } from '../http-error.js';
import type { KubeletApiSettings } from '../settings.js';
import type { AccessReviews } from './access-reviews.js';
import type { ClientCertificate } from './client-certificate.js';
import { ExpiringCache } from './expiring-cache.js';
import { anonymousUser, asAuthenticated, type UserInfo } from './user-info.js';

export interface AuthenticatorDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Undefined without a cluster: tokens mean nothing. */
  readonly reviews: AccessReviews | undefined;
  certificateOf(request: IncomingMessage): ClientCertificate;
}

const maxRemembered = 4096;

/** Finds out who asks: by client certificate, then by token; nobody in particular only where that is allowed. */
export class Authenticator {
  readonly #settings: KubeletApiSettings['authentication'];
  readonly #deps: AuthenticatorDeps;
  readonly #lifetime: AbortSignal;
  readonly #tokens: ExpiringCache<UserInfo | undefined>;

  constructor(settings: KubeletApiSettings['authentication'], deps: AuthenticatorDeps, lifetime: AbortSignal) {
    this.#settings = settings;
    this.#deps = deps;
    this.#lifetime = lifetime;
    const lifetimeMs = (): number => settings.webhook.cacheMs;
    this.#tokens = new ExpiringCache({ maxEntries: maxRemembered, lifetimeMs }, deps.clock);
  }

  /** Throws a 401. Credentials that are wrong are refused also where anonymous users are let in. */
  async authenticate(request: IncomingMessage, signal: AbortSignal): Promise<UserInfo> {
    const certificate = this.#deps.certificateOf(request);
    if (certificate.kind === 'user') return asAuthenticated(certificate.user);
    const token = bearerToken(request.headers.authorization);
    if (token !== undefined) {
      const user = await this.#userOf(token, signal);
      if (user) return asAuthenticated(user);
    }
    const nothingGiven = certificate.kind === 'none' && token === undefined;
    if (nothingGiven && this.#settings.anonymous) return anonymousUser;
    if (certificate.kind === 'bad')
      this.#deps.log.debug(
        { reason: certificate.reason, from: request.socket.remoteAddress },
        'client certificate refused',
      );
    throw new HttpError(401, 'Unauthorized');
  }

  async #userOf(token: string, signal: AbortSignal): Promise<UserInfo | undefined> {
    const { reviews, log } = this.#deps;
    if (!reviews || !this.#settings.webhook.enabled) return undefined;
    // The token itself is kept nowhere.
    const key = createHash('sha256').update(token).digest('base64');
    try {
      return await orAbort(
        this.#tokens.get(key, () => reviews.tokenReview(token, this.#lifetime)),
        signal,
      );
    } catch (err) {
      signal.throwIfAborted();
      log.warn({ err: errorText(err) }, 'a token could not be reviewed');
      return undefined;
    }
  }
}

/** Undefined when the header carries none; what is no bearer token is no credential. */
export function bearerToken(header: string | undefined): string | undefined {
  const [scheme, token] = header?.trim().split(' ') ?? [];
  return scheme?.toLowerCase() === 'bearer' && token !== undefined && token !== '' ? token : undefined;
}
