import { expect, test } from 'vitest';
import { HttpError } from '../http-error.js';
import type { ApiCall } from './call.js';
import { healthz, type HealthCheck } from './health.js';

const well = (name: string): HealthCheck => ({ name, problem: () => undefined });
const ill: HealthCheck = { name: 'ill', problem: () => 'it hurts' };

/** The status and text of the answer. */
function asked(checks: readonly HealthCheck[], path: string, check?: string): string {
  let text = '';
  const response = { writeHead: () => {}, end: (said: string) => void (text = said) };
  const call = { params: check === undefined ? {} : { check }, query: new URL(path, 'https://n').searchParams };
  try {
    void healthz(checks)(call as unknown as ApiCall, response as never, new AbortController().signal);
    return `200 ${text}`;
  } catch (err) {
    if (err instanceof HttpError) return `${err.failure.status} ${err.message}`;
    throw err;
  }
}

const fine = [well('ping'), well('log')];
test.each([
  [fine, '/', undefined, '200 ok'],
  [fine, '/?verbose', undefined, '200 [+]ping ok\n[+]log ok\nhealthz check passed\n'],
  [fine, '/?verbose&exclude=log', undefined, '200 [+]ping ok\n[+]log excluded: ok\nhealthz check passed\n'],
  [fine, '/?verbose', 'ping', '200 ok'],
  [fine, '/', 'nosuch', '404 404: Page Not Found'],
  [[...fine, ill], '/', undefined, '500 [+]ping ok\n[+]log ok\n[-]ill failed: reason withheld\nhealthz check failed\n'],
  [[...fine, ill], '/', 'ill', '500 internal server error: it hurts\n'],
  [[ill], '/?exclude=ill', undefined, '200 ok'],
  [
    [ill],
    '/?exclude=b&exclude=a',
    undefined,
    '500 [-]ill failed: reason withheld\nwarn: some health checks cannot be excluded: no matches for "a","b"\nhealthz check failed\n',
  ],
] as const)('%j asked for %s of %s', (checks, path, check, answer) => {
  expect(asked(checks, path, check)).toBe(answer);
});
