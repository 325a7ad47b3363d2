import { renderMetrics } from '../../metrics/index.js';
import { CounterMetric, type MetricSnapshot } from '../../metrics/accumulators.js';
import type { UsageReports } from '../usage-reports.js';
import { sendJson, sendText, type CallHandler, type CallHandlers } from './call.js';
import type { HealthCheck } from './health.js';
import { volumeMetrics } from './volume-metrics.js';

export interface MetricsDeps {
  readonly snapshots: () => readonly MetricSnapshot[];
  readonly usage: UsageReports;
  readonly checks: readonly HealthCheck[];
  /** Whether any pod has a volume of a claim: only then is its use looked up. */
  readonly hasClaims: () => boolean;
}

const exposition = 'text/plain; version=0.0.4; charset=utf-8';
const startTime = 'process_start_time_seconds';
const isProbe = ({ name }: MetricSnapshot): boolean => name.startsWith('prober_');

type Names = 'summary' | 'metrics' | 'cadvisorMetrics' | 'resourceMetrics' | 'probeMetrics' | 'sliMetrics';

/** Everything that is scraped. */
export function metricsHandlers({ snapshots, usage, checks, hasClaims }: MetricsDeps): Pick<CallHandlers, Names> {
  const rendered =
    (select: () => readonly MetricSnapshot[]): CallHandler =>
    async (_call, response) => {
      const { text, contentType } = await renderMetrics(select());
      sendText(response, text, contentType);
    };
  const checked = new CounterMetric('kubernetes_healthchecks_total', 'The results of all healthchecks.');
  const started = (): MetricSnapshot[] => snapshots().filter(({ name }) => name === startTime);
  return {
    metrics: async (_call, response, signal) => {
      const volumes = hasClaims() ? volumeMetrics(await usage.summary(false, signal)) : [];
      const { text, contentType } = await renderMetrics([...snapshots().filter((each) => !isProbe(each)), ...volumes]);
      sendText(response, text, contentType);
    },
    probeMetrics: rendered(() => [...snapshots().filter(isProbe), ...started()]),
    sliMetrics: rendered(() => [healthGauge(checks, checked), checked.snapshot(), ...started()]),
    cadvisorMetrics: async (_call, response, signal) => sendText(response, await usage.cadvisor(signal), exposition),
    resourceMetrics: async (_call, response, signal) => sendText(response, await usage.resource(signal), exposition),
    summary: async ({ query }, response, signal) => {
      const only = query.get('only_cpu_and_memory');
      sendJson(response, await usage.summary(only === 'true' || only === '1', signal));
    },
  };
}

function healthGauge(checks: readonly HealthCheck[], counts: CounterMetric): MetricSnapshot {
  const metricName = 'kubernetes_healthcheck';
  const values = checks.map((check) => {
    const labels = { name: check.name, type: 'healthz' };
    const well = check.problem() === undefined;
    counts.add({ ...labels, status: well ? 'success' : 'error' });
    return { metricName, labels, value: well ? 1 : 0 };
  });
  return { name: metricName, help: 'The result of the last healthcheck.', type: 'gauge', values };
}
