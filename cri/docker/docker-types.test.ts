import { expect, test } from 'vitest';
import { dockerTimeNanos } from './docker-types.js';

test.each([
  ['2026-01-02T03:04:05.5Z', Date.parse('2026-01-02T03:04:05Z') * 1e6 + 5e8],
  ['2026-01-02T03:04:05Z', Date.parse('2026-01-02T03:04:05Z') * 1e6],
  ['2026-01-02T05:04:05.000001+02:00', Date.parse('2026-01-02T03:04:05Z') * 1e6 + 1000],
  ['0001-01-01T00:00:00Z', 0],
  ['', 0],
])('%s', (text, nanos) => {
  expect(dockerTimeNanos(text)).toBe(nanos);
});
