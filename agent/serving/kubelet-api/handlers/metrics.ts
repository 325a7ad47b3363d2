import { renderMetrics } from '../../metrics/index.js';
import type { MetricSnapshot } from '../../metrics/accumulators.js';
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
  return {
    metrics: async (_call, response, signal) => {
      const volumes = hasClaims() ? volumeMetrics(await usage.summary(false, signal)) : [];
      const { text, contentType } = await renderMetrics([...snapshots().filter((each) => !isProbe(each)), ...volumes]);
      sendText(response, text, contentType);
    },
    probeMetrics: rendered(() =>
      snapshots().filter((each) => isProbe(each) || each.name === 'process_start_time_seconds'),
    ),
    sliMetrics: rendered(() => [healthGauge(checks)]),
    cadvisorMetrics: async (_call, response, signal) => sendText(response, await usage.cadvisor(signal), exposition),
    resourceMetrics: async (_call, response, signal) => sendText(response, await usage.resource(signal), exposition),
    summary: async ({ query }, response, signal) => {
      const only = query.get('only_cpu_and_memory');
      sendJson(response, await usage.summary(only === 'true' || only === '1', signal));
    },
  };
}

function healthGauge(checks: readonly HealthCheck[]): MetricSnapshot {
  const name = 'kubernetes_healthcheck';
  const values = checks.map((check) => ({
    metricName: name,
    labels: { name: check.name, type: 'healthz' },
    value: check.problem() === undefined ? 1 : 0,
  }));
  return { name, help: 'The result of the last healthcheck.', type: 'gauge', values };
}
