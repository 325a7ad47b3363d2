import type { Clock } from '../../../../base/clock.js';
import { errorText } from '../../../../base/errors.js';
import type { Logger } from '../../../../base/log.js';
import { orAbort } from '../../../../base/signals.js';
import { HttpError } from '../http-error.js';
import type { KubeletApiSettings } from '../settings.js';
import type { AccessReviews } from './access-reviews.js';
import { ExpiringCache } from './expiring-cache.js';
import { requestAttributes, type NodeAttributes } from './request-attributes.js';
import type { UserInfo } from './user-info.js';

export interface AuthorizerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Undefined without a cluster: nobody can be asked. */
  readonly reviews: AccessReviews | undefined;
}

const maxRemembered = 4096;

/** Decides who may do what on this node: all who are known, or whom the cluster lets. */
export class Authorizer {
  readonly #nodeName: string;
  readonly #settings: KubeletApiSettings['authorization'];
  readonly #deps: AuthorizerDeps;
  readonly #lifetime: AbortSignal;
  readonly #decisions: ExpiringCache<boolean>;

  constructor(
    nodeName: string,
    settings: KubeletApiSettings['authorization'],
    deps: AuthorizerDeps,
    lifetime: AbortSignal,
  ) {
    this.#nodeName = nodeName;
    this.#settings = settings;
    this.#deps = deps;
    this.#lifetime = lifetime;
    const lifetimeMs = (allowed: boolean): number => (allowed ? settings.allowedForMs : settings.deniedForMs);
    this.#decisions = new ExpiringCache({ maxEntries: maxRemembered, lifetimeMs }, deps.clock);
  }

  /** Throws a 403 for who may not, a 500 when it cannot be found out. */
  async authorize(user: UserInfo, method: string, path: string, signal: AbortSignal): Promise<void> {
    if (this.#settings.mode === 'AlwaysAllow') return;
    const attempts = requestAttributes(method, path, this.#nodeName);
    for (const attributes of attempts) if (await this.#isAllowed(user, attributes, signal)) return;
    const subresources = attempts.map(({ subresource }) => subresource).join(' ');
    throw new HttpError(
      403,
      `Forbidden (user=${user.username}, verb=${attempts[0]?.verb ?? ''}, resource=nodes, subresource(s)=[${subresources}])\n`,
    );
  }

  async #isAllowed(user: UserInfo, attributes: NodeAttributes, signal: AbortSignal): Promise<boolean> {
    const { reviews, log } = this.#deps;
    if (!reviews) return false;
    const { verb, subresource } = attributes;
    try {
      // Shared with others who ask the same, so that only the end of the server ends it.
      const answer = this.#decisions.get(keyOf(user, attributes), () =>
        reviews.subjectAccessReview(user, attributes, this.#lifetime),
      );
      return await orAbort(answer, signal);
    } catch (err) {
      signal.throwIfAborted();
      log.warn({ user: user.username, verb, subresource, err: errorText(err) }, 'access could not be reviewed');
      throw new HttpError(
        500,
        `Authorization error (user=${user.username}, verb=${verb}, resource=nodes, subresource=${subresource})`,
      );
    }
  }
}

const keyOf = ({ username, uid, groups, extra }: UserInfo, { verb, subresource }: NodeAttributes): string =>
  JSON.stringify([username, uid, groups, extra, verb, subresource]);
