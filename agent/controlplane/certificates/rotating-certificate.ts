import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import { linkSignal } from '../../../base/signals.js';
import type { Logger } from '../../../base/log.js';
import type { Accumulator } from '../../serving/metrics/accumulators.js';
import { WakeUp } from '../../sources/wake-up.js';
import { CertificateCounts } from './certificate-counts.js';
import type { CertificateStore, HeldCertificate } from './certificate-store.js';
import { certificateRequest } from './certificate-request.js';
import type { PendingKey } from './pending-key.js';
import {
  CertificateError,
  requestCertificate,
  type CertificateApi,
  type CertificateWish,
} from './request-certificate.js';
import { requestName } from './request-name.js';
import { keyObject, makeKey, publicKeyInfo, type AlternativeNames, type Subject } from './x509-parts.js';

export interface RotatingOptions {
  /** For the log, and for what is counted. */
  readonly purpose: 'client' | 'serving';
  readonly signerName: CertificateWish['signerName'];
  readonly usages: readonly string[];
  readonly subject: Subject;
  /** False asks for a new one only where there is none or it has expired. */
  readonly renew: boolean;
  /** Keeps the key of the first certificate while it is waited for; the key of every later one lives no longer than its request. */
  readonly pending?: PendingKey | undefined;
}

export interface RotatingDeps {
  readonly api: CertificateApi;
  readonly store: CertificateStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
  /** Names it must carry now; undefined while they are not known, and then none is asked for. */
  names(): AlternativeNames | undefined;
}

const decisionMs = 15 * 60_000;
const retryMs = { first: 5000, last: 5 * 60_000 };
/** Timers hold 24 days; the clock may also jump. */
const longestWaitMs = 3600_000;

/**
 * A certificate that the cluster issues and that is renewed when 70 to 90 % of its life has passed, or when the names it must carry
 * change. The one in force stays until the next is there.
 */
export class RotatingCertificate implements AsyncDisposable {
  readonly #options: RotatingOptions;
  readonly #deps: RotatingDeps;
  readonly #share: number;
  readonly #stop = new AbortController();
  readonly #wake = new WakeUp();
  readonly #listeners = new Set<(held: HeldCertificate) => void>();
  #running: Promise<void> | undefined;
  #current: HeldCertificate | undefined;
  #problem = '';
  #asking: { readonly names: AlternativeNames; abort(): void } | undefined;
  readonly #counts: CertificateCounts;

  constructor(options: RotatingOptions, deps: RotatingDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#counts = new CertificateCounts(
      options.purpose,
      () => this.#current,
      () => deps.clock.now(),
    );
    this.#share = 0.7 + (deps.random ?? Math.random)() * 0.2;
  }

  /** The newest; undefined while there is none. It may have expired. */
  get current(): HeldCertificate | undefined {
    return this.#current;
  }

  /** Why there is no better one; empty while all is well. */
  get problem(): string {
    return this.#problem;
  }

  get counts(): readonly Accumulator[] {
    return this.#counts.all;
  }

  onChange(listener: (held: HeldCertificate) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** The names it must carry may have changed. What was asked for with others is waited for no longer. */
  check(): void {
    const names = this.#deps.names();
    if (names && this.#asking && !areSame(names, this.#asking.names)) this.#asking.abort();
    this.#wake.set();
  }

  async start(): Promise<void> {
    this.#current = await this.#deps.store.read();
    const { signal } = this.#stop;
    this.#running = this.#run(signal).catch((err: unknown) => {
      if (!signal.aborted) this.#deps.log.error({ err: errorText(err) }, 'certificate is no longer renewed');
    });
  }

  /** When the current one is to be renewed, ms; now for one that there is not. */
  renewAt(): number {
    const held = this.#current;
    if (!held || !this.#carries(held)) return 0;
    if (!this.#options.renew) return held.notAfter;
    return held.notBefore + (held.notAfter - held.notBefore) * this.#share;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    let failures = 0;
    while (!signal.aborted) {
      let waitMs = Math.min(this.renewAt() - clock.now(), longestWaitMs);
      const names = this.#deps.names();
      if (waitMs <= 0 && names) {
        using request = linkSignal(signal);
        this.#asking = { names, abort: () => request.abort(new DOMException('it needs other names', 'AbortError')) };
        try {
          await this.#renew(names, request.signal);
          failures = 0;
          continue;
        } catch (err) {
          signal.throwIfAborted();
          if (request.signal.aborted) continue;
          waitMs = Math.min(retryMs.first * 2 ** failures++, retryMs.last);
          this.#problem = errorText(err);
          this.#counts.failed();
          log.warn(
            { purpose: this.#options.purpose, err: this.#problem, retryInMs: waitMs },
            'certificate could not be renewed',
          );
        } finally {
          this.#asking = undefined;
        }
      }
      await this.#wake.wait(Math.max(waitMs, 1000), signal);
    }
  }

  async #renew(names: AlternativeNames, signal: AbortSignal): Promise<void> {
    const { api, store, clock, log } = this.#deps;
    const { subject, signerName, usages, purpose } = this.#options;
    const before = this.#current;
    const pending = (before?.notAfter ?? 0) > clock.now() ? undefined : this.#options.pending;
    const key = await (pending?.take() ?? makeKey());
    const request = certificateRequest(key, subject, names);
    const found = pending && { name: requestName(key, subject, usages), publicKey: publicKeyInfo(keyObject(key)) };
    const certificate = await requestCertificate(
      { request, signerName, usages, ...found },
      { api, clock, timeoutMs: decisionMs, asked: (name) => this.#waits(name) },
      signal,
    ).catch(async (err: unknown) => {
      if (err instanceof CertificateError && err.failure.code === 'not-usable') await pending?.drop();
      throw err;
    });
    this.#current = await store.write(certificate, key, clock.now());
    await pending?.drop();
    if (before) this.#counts.replaced(this.#current.notBefore - before.notBefore);
    this.#problem = '';
    log.info({ purpose, notAfter: this.#current.leaf.validTo }, 'certificate is in force');
    for (const listener of this.#listeners) listener(this.#current);
  }

  #waits(name: string): void {
    const { purpose } = this.#options;
    this.#problem = `the ${purpose} certificate waits for the approval of ${name}: kubectl certificate approve ${name}`;
    this.#deps.log.info({ purpose, request: name }, 'certificate was asked for');
  }

  #carries({ leaf }: HeldCertificate): boolean {
    const names = this.#deps.names();
    if (!names) return true;
    return (
      names.dnsNames.every((name) => leaf.checkHost(name, { wildcards: false }) !== undefined) &&
      names.addresses.every((address) => leaf.checkIP(address) !== undefined)
    );
  }
}

function areSame(some: AlternativeNames, others: AlternativeNames): boolean {
  const words = ({ dnsNames, addresses }: AlternativeNames): string =>
    JSON.stringify([dnsNames.toSorted(), addresses.toSorted()]);
  return words(some) === words(others);
}
