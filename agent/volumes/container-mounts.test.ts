import { expect, test } from 'vitest';
import type { Container, VolumeMount } from '../api/index.js';
import { planContainerMounts, subPathOf, type MountedVolume } from './container-mounts.js';
import type { PodVolume, PublishedVolume } from './volume-plugin.js';

function plan(
  container: Partial<Container>,
  published: PublishedVolume,
  volume: Partial<PodVolume> = {},
  able = false,
) {
  const mounted: MountedVolume = { volume: { name: 'v', readOnly: false, ...volume } as PodVolume, published };
  return planContainerMounts({
    pod: {},
    container: { name: 'c', ...container },
    env: new Map([['A', 'x']]),
    volumes: new Map([['v', mounted]]),
    recursiveReadOnly: able,
    subPathTarget: (_volume, name, index) => `/sub/${name}/${index}`,
  });
}

const writable: PublishedVolume = { hostPath: '/vol', readOnly: false };

test.each<[VolumeMount, Record<string, unknown>]>([
  [
    { name: 'v', mountPath: '/m' },
    { hostPath: '/vol', readonly: false, propagation: 'PROPAGATION_PRIVATE' },
  ],
  [{ name: 'v', mountPath: 'm' }, { containerPath: '/m' }],
  [
    { name: 'v', mountPath: '/m', readOnly: true },
    { readonly: true, recursiveReadOnly: false },
  ],
  [
    { name: 'v', mountPath: '/m', mountPropagation: 'HostToContainer' },
    { propagation: 'PROPAGATION_HOST_TO_CONTAINER' },
  ],
  [{ name: 'v', mountPath: '/m', mountPropagation: 'Bidirectional' }, { propagation: 'PROPAGATION_BIDIRECTIONAL' }],
  [{ name: 'v', mountPath: '/m', subPath: 'a' }, { hostPath: '/sub/c/0' }],
  [{ name: 'v', mountPath: '/m', readOnly: true, recursiveReadOnly: 'IfPossible' }, { recursiveReadOnly: false }],
])('mount %j becomes %j', (mount, expected) => {
  expect(plan({ volumeMounts: [mount] }, writable).mounts[0]).toMatchObject(expected);
});

test('a runtime that can mounts recursively read-only; one that cannot is an error where it must', () => {
  const mount = (recursiveReadOnly: 'Enabled' | 'IfPossible'): Partial<Container> => ({
    volumeMounts: [{ name: 'v', mountPath: '/m', readOnly: true, recursiveReadOnly }],
  });
  expect(plan(mount('IfPossible'), writable, {}, true).mounts[0]?.recursiveReadOnly).toBe(true);
  expect(plan(mount('Enabled'), writable, {}, true).mounts[0]?.recursiveReadOnly).toBe(true);
  expect(() => plan(mount('Enabled'), writable)).toThrow('it is not supported by the runtime');
});

test('a volume nobody may write to is read-only whatever the mount says', () => {
  const container = { volumeMounts: [{ name: 'v', mountPath: '/m' }] };
  expect(plan(container, { hostPath: '/v', readOnly: true }).mounts[0]?.readonly).toBe(true);
  expect(plan(container, writable, { readOnly: true }).mounts[0]?.readonly).toBe(true);
});

test('devices carry their permissions; a volume of the other mode cannot be found', () => {
  const container = { volumeDevices: [{ name: 'v', devicePath: '/dev/x' }] };
  const device = { device: '/link', readOnly: false };
  expect(plan(container, device).devices).toEqual([{ hostPath: '/link', containerPath: '/dev/x', permissions: 'mrw' }]);
  expect(plan(container, device, { readOnly: true }).devices[0]?.permissions).toBe('r');
  expect(() => plan(container, writable)).toThrow('cannot find volume "v" to pass into container "c"');
  expect(() => plan({ volumeMounts: [{ name: 'v', mountPath: '/m' }] }, device)).toThrow(
    'cannot find volume "v" to mount',
  );
});

test.each([
  ['$(A)/b', 'x/b'],
  ['$$(A)', '$(A)'],
  ['plain', 'plain'],
])('subPathExpr %s is %s', (subPathExpr, path) => {
  expect(subPathOf({ name: 'v', mountPath: '/m', subPathExpr }, new Map([['A', 'x']]))).toBe(path);
});

test.each([
  ['$(B)', 'missing value for B'],
  ['$(E)/$(B)/$(B)', 'missing value for B, E'],
  ['/$(A)', 'must not be an absolute path'],
  ['$(UP)/x', "must not contain '..'"],
])('subPathExpr %s is refused', (subPathExpr, words) => {
  const env = new Map([
    ['A', 'x'],
    ['E', ''],
    ['UP', '..'],
  ]);
  expect(() => subPathOf({ name: 'v', mountPath: '/m', subPathExpr }, env)).toThrow(words);
});
