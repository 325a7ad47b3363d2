import type { Clock } from '../../../base/clock.js';
import { podUidOf, type Pod, type PodUid } from '../../api/index.js';
import type { ControlPlane } from '../../controlplane/control-plane.js';
import { TokenCache } from '../../volumes/payload/token-cache.js';

/** Pods whose tokens are kept; a pod rarely pulls again after its start. */
const mostPods = 200;

/** Tokens for credential providers, bound to their pods and kept while they hold. */
export class PodTokens {
  readonly #cache: TokenCache;
  /** In the order of their last use. */
  readonly #uids = new Set<PodUid>();

  constructor(deps: { readonly clock: Clock; readonly objects: Pick<ControlPlane, 'createToken'> }) {
    this.#cache = new TokenCache({ ...deps, random: Math.random });
  }

  async get(pod: Pod, audience: string, signal: AbortSignal): Promise<string> {
    const uid = podUidOf(pod);
    this.#uids.delete(uid);
    this.#uids.add(uid);
    const [oldest] = this.#uids;
    if (this.#uids.size > mostPods && oldest !== undefined) {
      this.#uids.delete(oldest);
      this.#cache.drop(oldest);
    }
    return (await this.#cache.get(pod, [audience], undefined, signal)).token;
  }
}
