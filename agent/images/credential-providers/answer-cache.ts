import type { Clock } from '../../../base/clock.js';
import type { DockerAuths } from '../docker-config.js';
import type { ProviderAnswer } from './provider-protocol.js';

interface Entry {
  readonly auths: DockerAuths;
  readonly expiresAt: number;
}

const sweepEveryMs = 15 * 60_000;
/** No image or registry is called so. */
const everything = '<global>';

/** What a provider answered, for as long and as widely as it said. */
export class AnswerCache {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #entries = new Map<string, Entry>();
  #sweptAt: number;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
    this.#sweptAt = clock.now();
  }

  /** `identity` keeps answers for different service accounts apart. */
  get(image: string, identity: string): DockerAuths | undefined {
    const now = this.#clock.now();
    this.#sweep(now);
    for (const scope of [image, registryOf(image), everything]) {
      const entry = this.#entries.get(keyOf(scope, identity));
      if (entry && now < entry.expiresAt) return entry.auths;
    }
    return undefined;
  }

  put(image: string, identity: string, answer: ProviderAnswer, defaultMs: number): void {
    const cacheMs = answer.cacheMs ?? defaultMs;
    if (cacheMs === 0) return;
    const scope = { Image: image, Registry: registryOf(image), Global: everything }[answer.cacheKeyType];
    this.#entries.set(keyOf(scope, identity), { auths: answer.auths, expiresAt: this.#clock.now() + cacheMs });
  }

  #sweep(now: number): void {
    if (now - this.#sweptAt < sweepEveryMs) return;
    this.#sweptAt = now;
    for (const [key, { expiresAt }] of this.#entries) if (expiresAt <= now) this.#entries.delete(key);
  }
}

const registryOf = (image: string): string => image.split('/')[0] ?? image;
const keyOf = (scope: string, identity: string): string => JSON.stringify([scope, identity]);
