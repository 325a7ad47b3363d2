import { expect, test } from 'vitest';
import type { CallRoute } from './route.js';
import { value } from './route.js';
import { Router } from './router.js';

const route = (method: CallRoute['method'], path: string): CallRoute => ({ method, path, handle: () => value(path) });

const router = new Router([
  route('GET', '/v1/objects/{kind}/{namespace}/{name}'),
  route('GET', '/v1/objects/{kind}'),
  route('GET', '/v1/objects/kinds'),
  route('DELETE', '/v1/images'),
  route('GET', '/v1/images'),
]);

test.each([
  ['GET', '/v1/objects/Pod/a/b', '/v1/objects/{kind}/{namespace}/{name}', { kind: 'Pod', namespace: 'a', name: 'b' }],
  ['GET', '/v1/objects/kinds', '/v1/objects/kinds', {}],
  ['GET', '/v1/objects/Sec%72et', '/v1/objects/{kind}', { kind: 'Secret' }],
  ['DELETE', '/v1/images', '/v1/images', {}],
])('%s %s', (method, path, expected, params) => {
  const found = router.find(method, path);
  expect(found.route.path).toBe(expected);
  expect(found.params).toEqual(params);
});

test.each([
  ['GET', '/nowhere', 'NotFound'],
  ['GET', '/v1/objects/', 'NotFound'],
  ['GET', '/v1/objects/Pod/a/b/c', 'NotFound'],
  ['POST', '/v1/images', 'MethodNotAllowed'],
  ['GET', '/v1/objects/%zz', 'BadRequest'],
])('%s %s is %s', (method, path, code) => {
  expect(() => router.find(method, path)).toThrow(
    expect.objectContaining({ failure: expect.objectContaining({ code }) }),
  );
});
