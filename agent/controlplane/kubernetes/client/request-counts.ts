import { CounterMetric, HistogramMetric, type Accumulator } from '../../../serving/metrics/accumulators.js';

const seconds = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 45, 60];

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
  readonly #host: string;

  constructor(server: string) {
    this.#host = new URL(server).host;
  }

  get all(): readonly Accumulator[] {
    return [this.#requests, this.#seconds];
  }

  /** `status` is undefined where no answer came. A watch has been answered when its first byte is there. */
  answered(method: string, status: number | undefined, tookSeconds: number): void {
    const host = this.#host;
    this.#requests.add({ code: status === undefined ? '<error>' : String(status), host, method });
    if (status !== undefined) this.#seconds.observe({ host, verb: method }, tookSeconds);
  }
}
