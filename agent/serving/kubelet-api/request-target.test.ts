import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HttpError } from './http-error.js';
import { findRoute } from './find-route.js';
import { parseTarget } from './request-target.js';

const routed = (method: string, raw: string, debugging = true): unknown => {
  try {
    return findRoute(method, parseTarget(raw), debugging);
  } catch (err) {
    return err instanceof HttpError ? `${err.failure.status} ${err.message}` : err;
  }
};

test.each([
  ['GET', '/healthz', { name: 'healthz', params: {} }],
  ['GET', '/healthz/ping', { name: 'healthz', params: { check: 'ping' } }],
  ['GET', '/runningpods/', { name: 'runningPods', params: {} }],
  ['GET', '/logs/', { name: 'nodeLogs', params: {} }],
  ['GET', '/logs/a/b%20c?x=/../', { name: 'nodeLogs', params: { rest: 'a/b c' } }],
  ['POST', '/exec/ns/p/c', { name: 'exec', params: { namespace: 'ns', pod: 'p', container: 'c' } }],
  ['GET', '/exec/ns/p/u/c', { name: 'exec', params: { namespace: 'ns', pod: 'p', uid: 'u', container: 'c' } }],
  ['GET', '/portForward/ns/p/u', { name: 'portForward', params: { namespace: 'ns', pod: 'p', uid: 'u' } }],
  ['PUT', '/metrics', { name: 'metrics', params: {} }],
  ['PUT', '/exec/ns/p/c', '405 405: Method Not Allowed'],
  ['GET', '/run/ns/p/c', '405 405: Method Not Allowed'],
  ['HEAD', '/pods', '405 405: Method Not Allowed'],
  ['GET', '/exec/ns/p', '404 404: Page Not Found'],
  ['GET', '/', '404 404: Page Not Found'],
  ['GET', '/Pods', '404 404: Page Not Found'],
  ['GET', '/logs/../pods', '400 the path must not have the parts . and ..'],
  ['GET', '/logs/%2e%2E/pods', '400 the path must not have the parts . and ..'],
  ['GET', '/logs/a%2f..%2fb', '400 a part of the path must not hold a separator'],
  ['GET', '/containerLogs/ns/..%5cx/c', '400 a part of the path must not hold a separator'],
  ['GET', '/logs/a%00', '400 a part of the path must not hold a separator'],
  ['GET', '//pods', '400 the path has an empty part'],
  ['GET', '/logs/%zz', '400 the path is not encoded as a path must be'],
  ['GET', 'https://node/pods', '400 the request target must be a path'],
  ['OPTIONS', '*', '400 the request target must be a path'],
])('%s %s', (method, raw, expected) => {
  expect(routed(method, raw)).toEqual(expected);
});

test('without debugging handlers their paths say so, and the others stay', () => {
  expect(routed('GET', '/exec/ns/p/c', false)).toBe('405 Debug endpoints are disabled.');
  expect(routed('GET', '/debug/pprof/heap', false)).toBe('405 Debug endpoints are disabled.');
  expect(routed('GET', '/configz', false)).toBe('404 404: Page Not Found');
  expect(routed('GET', '/pods', false)).toMatchObject({ name: 'pods' });
});

test('no target leads to a parameter that climbs or hides a separator', () => {
  const part = fc.constantFrom('..', '.', '%2e', '%2f', '/', '\\', '%5c', '%00', 'logs', 'exec', 'a', '%', '?', '//');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const found = routed('GET', `/${parts.join('')}`);
      if (typeof found === 'string') return;
      const { params } = found as { params: Readonly<Record<string, string>> };
      for (const value of Object.values(params)) {
        expect(value.split('/')).not.toContain('..');
        expect(value).not.toContain('\\');
        expect(value).not.toContain('\0');
      }
    }),
  );
});
