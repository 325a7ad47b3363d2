import { expect, test } from 'vitest';
import { processGauges } from './process-metrics.js';

test('where the statistics of containers are from is told as a kubelet tells it', () => {
  const snapshots = processGauges().map((each) => each.snapshot());
  const provider = snapshots.find(({ name }) => name === 'kubelet_metrics_provider');
  expect(provider).toMatchObject({ type: 'gauge', values: [{ labels: { provider: 'cadvisor' }, value: 1 }] });
});
