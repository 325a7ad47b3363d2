import { expect, test } from 'vitest';
import { bearerToken } from './authenticate.js';
import { ExpiringCache } from './expiring-cache.js';
import { requestAttributes } from './request-attributes.js';

test.each([
  ['GET', '/pods', 'get', ['pods', 'proxy']],
  ['GET', '/runningpods/', 'get', ['pods', 'proxy']],
  ['GET', '/healthz/ping', 'get', ['healthz', 'proxy']],
  ['GET', '/configz', 'get', ['configz', 'proxy']],
  ['POST', '/stats/summary', 'create', ['stats']],
  ['GET', '/metrics', 'get', ['metrics']],
  ['GET', '/metricsx', 'get', ['proxy']],
  ['GET', '/logs/messages', 'get', ['log']],
  ['POST', '/checkpoint/a/b/c', 'create', ['checkpoint']],
  ['GET', '/containerLogs/a/b/c', 'get', ['proxy']],
  ['POST', '/exec/a/b/c', 'create', ['proxy']],
  ['PATCH', '/', 'patch', ['proxy']],
  ['HEAD', '/podsx', '', ['proxy']],
])('%s %s needs %s on one of %j', (method, path, verb, subresources) => {
  const attributes = requestAttributes(method, path, 'n');
  expect(attributes).toEqual(subresources.map((subresource) => ({ verb, nodeName: 'n', subresource })));
});

test.each([
  [undefined, undefined],
  ['Bearer abc', 'abc'],
  ['  bearer abc ignored', 'abc'],
  ['Bearer ', undefined],
  ['Bearer  abc', undefined],
  ['Basic abc', undefined],
  ['abc', undefined],
])('the token of %j is %j', (header, token) => {
  expect(bearerToken(header)).toBe(token);
});

test('answers are shared, kept as long as each may be, and failures are not kept', async () => {
  let now = 1000;
  let asked = 0;
  const clock = { now: () => now, sleep: () => Promise.resolve() };
  const cache = new ExpiringCache<boolean>({ maxEntries: 2, lifetimeMs: (yes) => (yes ? 100 : 10) }, clock);
  const ask = (answer: boolean) => (): Promise<boolean> => {
    asked++;
    return Promise.resolve(answer);
  };
  expect(await Promise.all([cache.get('a', ask(true)), cache.get('a', ask(false))])).toEqual([true, true]);
  now += 99;
  expect(await cache.get('a', ask(false))).toBe(true);
  expect(asked).toBe(1);
  now += 1;
  expect(await cache.get('a', ask(false))).toBe(false);
  now += 10;
  expect(await cache.get('a', ask(true))).toBe(true);
  // Set back, the clock makes an answer neither older nor younger: it is asked again.
  now -= 500;
  expect(await cache.get('a', ask(false))).toBe(false);
  await expect(cache.get('b', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
  expect(await cache.get('b', ask(true))).toBe(true);
  await cache.get('c', ask(true));
  const before = asked;
  await cache.get('a', ask(true));
  expect(asked).toBe(before + 1);
});
