import { expect, test } from 'vitest';
import type { Pod } from '../../api/index.js';
import { forbiddenPodChange, sameObject } from './applied-change.js';

const pod = (change: Partial<NonNullable<Pod['spec']>> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    containers: [{ name: 'main', image: 'a:1', env: [{ name: 'A', value: '1' }] }],
    ...change,
  },
});

test('what the store stamps is no change', () => {
  const stored = pod();
  const stamped = {
    ...stored,
    metadata: { ...stored.metadata, uid: 'u', resourceVersion: '7', creationTimestamp: 't' },
  };
  expect(sameObject(stamped, pod())).toBe(true);
  expect(sameObject({ ...stamped, status: { phase: 'Failed' } } as Pod, pod())).toBe(true);
  expect(sameObject(stamped, pod({ hostNetwork: true }))).toBe(false);
});

test.each<[string, Partial<NonNullable<Pod['spec']>>, string | undefined]>([
  ['nothing', {}, undefined],
  ['an image', { containers: [{ name: 'main', image: 'b:2', env: [{ name: 'A', value: '1' }] }] }, undefined],
  ['the deadline', { activeDeadlineSeconds: 5 }, undefined],
  [
    'a variable',
    { containers: [{ name: 'main', image: 'a:1', env: [{ name: 'A', value: '2' }] }] },
    'spec.containers[0].env[0].value',
  ],
  ['a new field', { hostNetwork: true }, 'spec.hostNetwork'],
  [
    'a new container',
    {
      containers: [
        { name: 'main', image: 'a:1', env: [{ name: 'A', value: '1' }] },
        { name: 'more', image: 'b' },
      ],
    },
    'spec.containers[1]',
  ],
])('changing %s', (_what, change, path) => {
  expect(forbiddenPodChange(pod(), pod(change))).toBe(path);
});
