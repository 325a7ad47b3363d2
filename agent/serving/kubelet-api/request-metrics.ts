import { CounterMetric, GaugeMetric, HistogramMetric, type MetricSnapshot } from '../metrics/accumulators.js';
import { routeTable } from './route-table.js';

const methods = new Set(['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT']);
const roots: ReadonlySet<string> = new Set(routeTable.map(({ path }) => path.split('/')[1] ?? ''));
const longRunning = new Set(['exec', 'attach', 'portForward', 'debug']);
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Requests of this API under the kubelet's names. What a client can invent is not a label. */
export class RequestMetrics {
  readonly #total = new CounterMetric('kubelet_http_requests_total', 'HTTP requests since the server started.');
  readonly #seconds = new HistogramMetric(
    'kubelet_http_requests_duration_seconds',
    'How long HTTP requests were served.',
    seconds,
  );
  readonly #inFlight = new Map<string, { readonly labels: Readonly<Record<string, string>>; value: number }>();
  readonly #gauge = new GaugeMetric('kubelet_http_inflight_requests', 'HTTP requests being served.', () => [
    ...this.#inFlight.values(),
  ]);

  readonly #webSockets = new CounterMetric(
    'kubelet_websocket_streaming_requests_total',
    'Total number of WebSocket streaming requests (exec/attach/portforward) received by the kubelet.',
  );

  /** A client asked to take the connection over in this way. */
  webSocket(route: 'exec' | 'attach' | 'portForward'): void {
    this.#webSockets.add({ subresource: route.toLowerCase() });
  }

  /** Counts a request from now on until the returned function is called. */
  begin(method: string, root: string): () => void {
    const path = roots.has(root) ? root : 'other';
    const labels = {
      method: methods.has(method) ? method : 'other',
      path,
      server_type: 'readwrite',
      long_running: String(longRunning.has(path)),
    };
    const key = Object.values(labels).join(' ');
    const flying = this.#inFlight.get(key) ?? { labels, value: 0 };
    this.#inFlight.set(key, flying);
    const started = performance.now();
    this.#total.add(labels);
    flying.value++;
    return () => {
      flying.value--;
      this.#seconds.observe(labels, (performance.now() - started) / 1000);
    };
  }

  snapshots(): MetricSnapshot[] {
    return [this.#total, this.#seconds, this.#gauge, this.#webSockets].map((each) => each.snapshot());
  }
}
