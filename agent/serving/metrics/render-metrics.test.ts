import { expect, test } from 'vitest';
import { CounterMetric, GaugeMetric, HistogramMetric } from './accumulators.js';
import { renderMetrics } from './render-metrics.js';

test('counters, gauges and histograms come out in the text format', async () => {
  const counter = new CounterMetric('calls_total', 'Calls.');
  counter.add({ verb: 'a "quoted" word' });
  counter.add({ verb: 'a "quoted" word' }, 2);
  const histogram = new HistogramMetric('took_seconds', 'Time.', [0.1, 1]);
  for (const seconds of [0.05, 0.1, 0.5, 7]) histogram.observe({ verb: 'x' }, seconds);
  const gauge = new GaugeMetric('now', 'Now.', () => [{ labels: {}, value: 4 }]);
  const { text, contentType } = await renderMetrics([counter, histogram, gauge].map((each) => each.snapshot()));
  expect(contentType).toContain('text/plain');
  expect(text.split('\n').filter((line) => line !== '')).toEqual([
    '# HELP calls_total Calls.',
    '# TYPE calls_total counter',
    'calls_total{verb="a \\"quoted\\" word"} 3',
    '# HELP took_seconds Time.',
    '# TYPE took_seconds histogram',
    'took_seconds_bucket{verb="x",le="0.1"} 2',
    'took_seconds_bucket{verb="x",le="1"} 3',
    'took_seconds_bucket{verb="x",le="+Inf"} 4',
    'took_seconds_sum{verb="x"} 7.65',
    'took_seconds_count{verb="x"} 4',
    '# HELP now Now.',
    '# TYPE now gauge',
    'now 4',
  ]);
});

test('what is gone is not counted any more', () => {
  const counter = new CounterMetric('probes_total', '');
  counter.add({ pod: 'a' });
  counter.add({ pod: 'b' });
  counter.forget(({ pod }) => pod === 'a');
  expect(counter.snapshot().values).toEqual([{ metricName: 'probes_total', labels: { pod: 'b' }, value: 1 }]);
});
