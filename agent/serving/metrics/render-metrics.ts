import type { Metric } from 'prom-client';
import type { MetricSnapshot } from './accumulators.js';

/** Prometheus' text format. Its library is loaded at the first scrape: a machine that is not scraped does not pay for it. */
export async function renderMetrics(
  snapshots: readonly MetricSnapshot[],
): Promise<{ contentType: string; text: string }> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  for (const snapshot of snapshots) {
    // A registry asks its metrics for nothing but their values; the classes it ships cannot be given a histogram's past.
    const metric = { ...snapshot, aggregator: 'sum', get: () => Promise.resolve(snapshot) };
    registry.registerMetric(metric as unknown as Metric);
  }
  return { contentType: registry.contentType, text: await registry.metrics() };
}
