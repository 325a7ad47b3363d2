import { expect, test } from 'vitest';
import { RequestCounts } from './request-counts.js';

test('answers are counted by code, and what got none as an error that takes no time', () => {
  const counts = new RequestCounts('https://10.0.0.1:6443/prefix');
  counts.answered('GET', 200, 0.2);
  counts.answered('GET', 429, 0.01);
  counts.answered('PATCH', undefined, 9);
  const [requests, seconds] = counts.all.map((each) => each.snapshot());
  expect(requests?.values.map(({ labels, value }) => [...Object.values(labels), value])).toEqual([
    ['200', '10.0.0.1:6443', 'GET', 1],
    ['429', '10.0.0.1:6443', 'GET', 1],
    ['<error>', '10.0.0.1:6443', 'PATCH', 1],
  ]);
  const took = seconds?.values.filter(({ metricName }) => metricName.endsWith('_count'));
  expect(took?.map(({ labels, value }) => [labels['verb'], value])).toEqual([['GET', 2]]);
});
