import { expect, test } from 'vitest';
import type { Node, Pod } from '../api/index.js';
import { admitPod } from './admit-pod.js';
import { knownResources } from './known-resources.js';

const node: Node = {
  status: {
    capacity: {
      cpu: '4',
      'hugepages-2Mi': '4Mi',
      'example.com/dongle': '4',
      'example.com/new': '2',
      'example.com/gpu': '2',
    },
    allocatable: {
      cpu: '3',
      'hugepages-2Mi': '4Mi',
      'example.com/dongle': '3',
      'example.com/gpu': '0',
      'example.com/old': '0',
    },
  },
};

test.each([
  [
    'what an operator wrote into the node object counts, as far as it is allocatable',
    node,
    {},
    { 'example.com/dongle': '3', 'example.com/new': '2', 'example.com/gpu': '0', 'example.com/old': '0' },
  ],
  [
    'what a plugin brought is the device manager’s to count',
    node,
    { 'example.com/dongle': '9', 'example.com/gpu': '2', 'example.com/old': '0' },
    { 'example.com/new': '2' },
  ],
  ['nothing is known of the node', undefined, {}, {}],
])('%s', (_what, known, ofPlugins, counted) => {
  expect(knownResources(known, ofPlugins)).toEqual(counted);
});

test('a pod does not run without a device that the node had and has not any more; of what no node has it may be the cluster’s', () => {
  const allocatable = { cpu: '4', ...knownResources(node, {}) };
  const verdictOf = (device: string) => {
    const limits = { [device]: '1' };
    const pod: Pod = {
      metadata: { name: 'p', uid: 'p' },
      spec: { containers: [{ name: 'c', resources: { limits, requests: limits } }] },
    };
    return admitPod(pod, [], { allocatable, maxPods: 10, allowedUnsafeSysctls: [], appArmor: false });
  };
  expect(verdictOf('example.com/old')).toEqual({
    admitted: false,
    reason: 'OutOfexample.com/old',
    message: "Node didn't have enough resource: example.com/old, requested: 1, used: 0, capacity: 0",
  });
  expect(verdictOf('example.com/elsewhere')).toEqual({ admitted: true });
});
