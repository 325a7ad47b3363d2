import { randomBytes } from 'node:crypto';
import { criError } from '../contract/cri-error.js';

interface Entry<T> {
  readonly value: T;
  readonly expires: NodeJS.Timeout;
}

/** Requests that wait for their client to come: each token opens its stream once, and not for long. */
export class OneTimeTokens<T> implements Disposable {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #lifetimeMs: number;
  readonly #limit: number;

  constructor(lifetimeMs: number, limit: number) {
    this.#lifetimeMs = lifetimeMs;
    this.#limit = limit;
  }

  issue(value: T): string {
    if (this.#entries.size >= this.#limit) {
      throw criError('resource-exhausted', `open a stream: ${this.#limit} others wait for their clients`);
    }
    const token = randomBytes(16).toString('base64url');
    const expires = setTimeout(() => this.#entries.delete(token), this.#lifetimeMs);
    expires.unref();
    this.#entries.set(token, { value, expires });
    return token;
  }

  /** Undefined when it was never given, was used, or is too old. */
  take(token: string): T | undefined {
    const entry = this.#entries.get(token);
    this.#entries.delete(token);
    clearTimeout(entry?.expires);
    return entry?.value;
  }

  [Symbol.dispose](): void {
    for (const { expires } of this.#entries.values()) clearTimeout(expires);
    this.#entries.clear();
  }
}
