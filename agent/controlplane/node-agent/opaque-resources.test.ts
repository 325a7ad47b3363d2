import { expect, test } from 'vitest';
import type { NodeStatus } from '../../api/index.js';
import { staleResources, withoutStale, withOpaqueResources } from './opaque-resources.js';

const own: NodeStatus = {
  capacity: { cpu: '2', 'example.com/gpu': '4' },
  allocatable: { cpu: '1500m', 'example.com/gpu': '3' },
};

test('what somebody else gave the node is allocatable, all of it', () => {
  const shown = { capacity: { ...own.capacity, 'example.com/dongle': '4' } };
  expect(withOpaqueResources(own, shown)).toEqual({
    ...own,
    allocatable: { ...own.allocatable, 'example.com/dongle': '4' },
  });
});

test.each<[string, NodeStatus | undefined]>([
  ['nothing is known of the node', undefined],
  ['the node told all of it itself', { capacity: { cpu: '4', 'example.com/gpu': '9' } }],
  [
    'what Kubernetes itself names is for the node to say',
    { capacity: { 'hugepages-2Mi': '4Mi', 'kubernetes.io/x': '1' } },
  ],
])('%s: it is as the node says', (_what, shown) => {
  expect(withOpaqueResources(own, shown)).toBe(own);
});

test('of a machine that was made anew nothing is left of what its plugins had offered', () => {
  const shown = {
    capacity: { ...own.capacity, 'example.com/old': '4', 'example.com/none': '0', 'hugepages-2Mi': '4Mi' },
  };
  const stale = staleResources(own, shown);
  expect(stale).toEqual(['example.com/old']);
  expect(withoutStale(withOpaqueResources(own, shown), stale)).toEqual({
    capacity: { ...own.capacity, 'example.com/old': '0' },
    allocatable: { ...own.allocatable, 'example.com/old': '0', 'example.com/none': '0' },
  });
  expect(staleResources(own, undefined)).toEqual([]);
  expect(withoutStale(own, [])).toBe(own);
});
