import { expect, test } from 'vitest';
import { ExecPluginCounts } from './exec-plugin-counts.js';
import { RequestCounts } from './request-counts.js';

test('answers are counted by code, and what got none as an error that takes no time', () => {
  const counts = new RequestCounts('https://10.0.0.1:6443/prefix', { now: () => 0 });
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

test('bodies are measured, and what is asked once more is counted by the answer before', () => {
  const counts = new RequestCounts('https://10.0.0.1:6443', { now: () => 0 });
  counts.sent('PATCH', 100);
  counts.received('PATCH', 5000);
  counts.triedAgain('GET', 429);
  counts.triedAgain('GET', undefined);
  const sums = counts.all.flatMap((each) => each.snapshot().values);
  const shown = sums.filter(({ metricName }) => /_sum$|_retries_total$/.test(metricName));
  expect(shown.map(({ metricName, labels, value }) => [metricName, labels['code'] ?? labels['verb'], value])).toEqual([
    ['rest_client_request_retries_total', '429', 1],
    ['rest_client_request_retries_total', '<error>', 1],
    ['rest_client_request_size_bytes_sum', 'PATCH', 100],
    ['rest_client_response_size_bytes_sum', 'PATCH', 5000],
  ]);
});

test('calls of a credential plugin are counted by how they ended', () => {
  const counts = new ExecPluginCounts({ now: () => 0 });
  counts.called({ kind: 'exited', code: 0 }, true);
  counts.called({ kind: 'exited', code: 0 }, false);
  counts.called({ kind: 'exited', code: 4 }, false);
  counts.called({ kind: 'not-started', errno: 'ENOENT' }, false);
  counts.called({ kind: 'timed-out', afterMs: 1 }, false);
  const [calls, , left] = counts.all.map((each) => each.snapshot());
  expect(calls?.values.map(({ labels, value }) => `${Object.values(labels).join(' ')} = ${value}`)).toEqual([
    ...[
      'no_error 0 = 1',
      'client_internal_error 1 = 2',
      'plugin_execution_error 4 = 1',
      'plugin_not_found_error 1 = 1',
    ],
  ]);
  expect(
    left?.values.map(({ value }) => value),
    'a plugin that gives tokens',
  ).toEqual([Infinity]);
});
