import { expect, test } from 'vitest';
import type { Grant } from '../devices/grants.js';
import { mergeResponses } from './container-options.js';

const grant = (resource: string, response: Grant['response']): Grant => ({
  podUid: 'p',
  container: 'c',
  resource,
  byNuma: new Map([[-1, ['a']]]),
  response,
});

test('merges all resources; the first by name wins a conflict, which is said', () => {
  const merged = mergeResponses([
    grant('b.com/y', {
      envs: { A: '2', B: '1' },
      devices: [{ hostPath: '/dev/y', containerPath: '/dev/x', permissions: 'rw' }],
      cdiDevices: [{ name: 'v/c=1' }, { name: 'v/c=2' }],
    }),
    grant('a.com/x', {
      envs: { A: '1' },
      devices: [{ hostPath: '/dev/x', containerPath: '/dev/x', permissions: 'r' }],
      mounts: [{ hostPath: '/lib/x', containerPath: '/lib/x', readOnly: true }],
      annotations: { k: 'v' },
      cdiDevices: [{ name: 'v/c=1' }],
    }),
    grant('c.com/intent', undefined),
  ]);
  expect(merged).toEqual({
    devices: [{ hostPath: '/dev/x', containerPath: '/dev/x', permissions: 'r' }],
    mounts: [{ hostPath: '/lib/x', containerPath: '/lib/x', readOnly: true }],
    envs: { A: '1', B: '1' },
    annotations: { k: 'v' },
    cdiDevices: ['v/c=1', 'v/c=2'],
    conflicts: [
      'device /dev/x is wanted twice with different contents',
      'environment variable A is wanted twice with different contents',
    ],
  });
});

test('nothing for a container without answered devices', () => {
  expect(mergeResponses([])).toBeUndefined();
  expect(mergeResponses([grant('a.com/x', undefined)])).toBeUndefined();
});
