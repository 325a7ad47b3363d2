import { expect, test } from 'vitest';
import { objectOf } from './object-of-request.js';

const id = '0123456789abcdef'.repeat(4);

test.each([
  [{ containerId: id, timeout: 3 }, 'container 0123456789abc'],
  [{ podSandboxId: id, verbose: true }, 'sandbox 0123456789abc'],
  [{ config: { metadata: { namespace: 'prod', name: 'web', uid: 'u' } } }, 'pod prod/web'],
  [{ podSandboxId: id, config: { metadata: { name: 'main', attempt: 1 } } }, 'container main in sandbox 0123456789abc'],
  [{ image: { image: 'registry.test/web:1' } }, 'image registry.test/web:1'],
  [{ filter: { id } }, ''],
  [{}, ''],
])('%j is about: %s', (request, words) => {
  expect(objectOf(request)).toBe(words);
});
