import { expect, test } from 'vitest';
import { extendedResourceNameProblem } from './extended-resource-name.js';

test.each(['nvidia.com/gpu', 'example.com/a', 'a.b-c.d/X_y.z-1', 'devices.example.org/tty', `${'a'.repeat(63)}.b/c`])(
  '%s is an extended resource',
  (name) => {
    expect(extendedResourceNameProblem(name)).toBeUndefined();
  },
);

test.each([
  ['cpu', 'no domain'],
  ['', 'no domain'],
  ['kubernetes.io/batch', 'belongs to Kubernetes'],
  ['node.kubernetes.io/x', 'belongs to Kubernetes'],
  ['requests.example.com/gpu', 'quota'],
  ['/gpu', 'domain must have'],
  ['Example.com/gpu', 'lower-case'],
  ['-a.com/gpu', 'lower-case'],
  ['example.com/', '1 to 63'],
  [`example.com/${'g'.repeat(64)}`, '1 to 63'],
  ['example.com/gpu/a', 'begin and end'],
  ['example.com/-gpu', 'begin and end'],
  [`${'a.'.repeat(130)}a/b`, 'characters'],
])('%s is refused', (name, words) => {
  expect(extendedResourceNameProblem(name)).toContain(words);
});
