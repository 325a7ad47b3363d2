import { CounterMetric, GaugeMetric, HistogramMetric, type Accumulator } from '../../serving/metrics/accumulators.js';
import type { HeldCertificate } from './certificate-store.js';

const hour = 3600;
const day = 24 * hour;
const lifeSeconds = [60, hour, 4 * hour, day, 7 * day, 30 * day, 90 * day, 180 * day, 365 * day, 4 * 365 * day];

/** How long a certificate still holds, and how its renewals went, under the kubelet's names for that purpose. */
export class CertificateCounts {
  readonly all: readonly Accumulator[];
  readonly #errors: CounterMetric;
  readonly #lives: HistogramMetric;

  constructor(purpose: 'client' | 'serving', current: () => HeldCertificate | undefined, now: () => number) {
    const serving = purpose === 'serving';
    const manager = `kubelet_certificate_manager_${serving ? 'server' : 'client'}`;
    this.#errors = new CounterMetric(
      serving ? 'kubelet_server_expiration_renew_errors' : `${manager}_expiration_renew_errors`,
      'Counter of certificate renewal errors.',
    );
    this.#errors.add({}, 0);
    this.#lives = new HistogramMetric(
      `${manager}_rotation_seconds`,
      'Histogram of the number of seconds the previous certificate lived before being rotated.',
      lifeSeconds,
    );
    const left = new GaugeMetric(
      `${manager}_ttl_seconds`,
      `Seconds until the ${purpose} certificate expires, negative when it has; +Inf while there is none.`,
      () => {
        const held = current();
        const value = held ? Math.trunc((held.notAfter - now()) / 1000) : Number.POSITIVE_INFINITY;
        return [{ labels: {}, value }];
      },
    );
    this.all = [this.#errors, left, ...(serving ? [this.#lives] : [])];
  }

  failed(): void {
    this.#errors.add({});
  }

  /** Another one took the place of one that had been in force for so long. */
  replaced(afterMs: number): void {
    this.#lives.observe({}, afterMs / 1000);
  }
}
