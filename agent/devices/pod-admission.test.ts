import { expect, test } from 'vitest';
import type { Pod } from '../api/index.js';
import { podAdmission } from './pod-admission.js';

const limits = (count: number): { limits: Record<string, string> } => ({
  limits: { cpu: '1', 'hugepages-2Mi': '2Mi', 'a.com/gpu': String(count) },
});
const pod: Pod = {
  metadata: { name: 'web', uid: 'u1' },
  spec: {
    initContainers: [
      { name: 'load', image: 'i', resources: limits(2) },
      { name: 'side', image: 'i', restartPolicy: 'Always' },
    ],
    containers: [{ name: 'main', image: 'i', resources: limits(1) }],
  },
};
const wishes = (running: readonly string[], of: Pod = pod): unknown =>
  podAdmission(of, new Set(running))?.containers.map((each) => [
    each.name,
    each.kind,
    each.limits['a.com/gpu'] ?? 0,
    each.running,
  ]);

test('only extended resources are asked for, container by container in start order', () => {
  expect(podAdmission(pod, new Set())).toMatchObject({ uid: 'u1', namespace: 'default', name: 'web' });
  expect(wishes([])).toEqual([
    ['load', 'init', 2, false],
    ['side', 'sidecar', 0, false],
    ['main', 'regular', 1, false],
  ]);
});

test('what runs is served, and so is an init container that has made way', () => {
  expect(wishes(['main'])).toEqual([
    ['load', 'init', 2, true],
    ['side', 'sidecar', 0, false],
    ['main', 'regular', 1, true],
  ]);
});

test('a pod without devices is not asked for at all', () => {
  expect(podAdmission({ spec: { containers: [{ name: 'main', image: 'i' }] } }, new Set())).toBeUndefined();
});

test('what a claim provides for a container is not asked of a plugin', () => {
  const requestMappings = [{ containerName: 'main', resourceName: 'a.com/gpu', requestName: 'r' }];
  const claimed: Pod = {
    ...pod,
    status: { extendedResourceClaimStatus: { resourceClaimName: 'c', requestMappings } },
  };
  expect(wishes([], claimed)).toEqual([
    ['load', 'init', 2, false],
    ['side', 'sidecar', 0, false],
    ['main', 'regular', 0, false],
  ]);
});
