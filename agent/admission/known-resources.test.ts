import { expect, test } from 'vitest';
import type { Node } from '../api/index.js';
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
    { 'example.com/dongle': '3', 'example.com/new': '2' },
  ],
  [
    'what a plugin brought is the device manager’s to count',
    node,
    { 'example.com/dongle': '9' },
    { 'example.com/new': '2' },
  ],
  ['nothing is known of the node', undefined, {}, {}],
])('%s', (_what, known, ofPlugins, counted) => {
  expect(knownResources(known, ofPlugins)).toEqual(counted);
});
