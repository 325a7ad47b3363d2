import type { Clock } from '../../../../base/clock.js';
import { CounterMetric, HistogramMetric, type Accumulator } from '../../../serving/metrics/accumulators.js';

import { ExecPluginCounts } from './exec-plugin-counts.js';

const seconds = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];
const bytes = [64, 256, 512, 1024, 4096, ...[1, 4, 16, 64, 256, 1024].map((times) => times * 16_384)];

/** Requests to the API server, under the names of every Kubernetes component. */
export class RequestCounts {
  readonly #requests = new CounterMetric(
    'rest_client_requests_total',
    'Number of HTTP requests, partitioned by status code, method, and host.',
  );
  readonly #seconds = new HistogramMetric(
    'rest_client_request_duration_seconds',
    'Request latency in seconds. Broken down by verb, and host.',
    seconds,
  );
  readonly #retries = new CounterMetric(
    'rest_client_request_retries_total',
    'Number of request retries, partitioned by status code, verb, and host.',
  );
  readonly #sent = new HistogramMetric(
    'rest_client_request_size_bytes',
    'Request size in bytes. Broken down by verb and host.',
    bytes,
  );
  readonly #received = new HistogramMetric(
    'rest_client_response_size_bytes',
    'Response size in bytes. Broken down by verb and host.',
    bytes,
  );
  readonly plugin: ExecPluginCounts;
  readonly #host: string;

  constructor(server: string, clock: Pick<Clock, 'now'>) {
    this.#host = new URL(server).host;
    this.plugin = new ExecPluginCounts(clock);
  }

  get all(): readonly Accumulator[] {
    return [this.#requests, this.#seconds, this.#retries, this.#sent, this.#received, ...this.plugin.all];
  }

  sent(verb: string, size: number): void {
    this.#sent.observe({ host: this.#host, verb }, size);
  }

  /** The whole of an answer; what comes piece by piece is none. */
  received(verb: string, size: number): void {
    this.#received.observe({ host: this.#host, verb }, size);
  }

  /** It is asked once more, after this answer. */
  triedAgain(verb: string, status: number | undefined): void {
    this.#retries.add({ code: codeOf(status), host: this.#host, verb });
  }

  /** `status` is undefined where no answer came. A watch has been answered when its first byte is there. */
  answered(method: string, status: number | undefined, tookSeconds: number): void {
    const host = this.#host;
    this.#requests.add({ code: codeOf(status), host, method });
    if (status !== undefined) this.#seconds.observe({ host, verb: method }, tookSeconds);
  }
}

const codeOf = (status: number | undefined): string => (status === undefined ? '<error>' : String(status));
