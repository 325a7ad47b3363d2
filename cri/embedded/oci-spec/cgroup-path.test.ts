import { describe, expect, test } from 'vitest';
import { containerCgroup, expandSlice, podCgroup, scopeAnnotations } from './cgroup-path.js';

describe('containerCgroup', () => {
  test.each([
    ['cgroupfs', '/kubepods/burstable/podX', '/kubepods/burstable/podX/c', '/kubepods/burstable/podX/c'],
    ['cgroupfs', 'kubepods/podX/', '/kubepods/podX/c', '/kubepods/podX/c'],
    ['cgroupfs', '', '/berth/c', '/berth/c'],
    [
      'systemd',
      '/kubepods.slice/kubepods-podX.slice',
      'kubepods-podX.slice:berth:c',
      '/kubepods.slice/kubepods-podX.slice/berth-c.scope',
    ],
    [
      'systemd',
      'kubepods-podX.slice',
      'kubepods-podX.slice:berth:c',
      '/kubepods.slice/kubepods-podX.slice/berth-c.scope',
    ],
    ['systemd', '', 'berth.slice:berth:c', '/berth.slice/berth-c.scope'],
  ] as const)('%s under %j', (driver, parent, oci, path) => {
    expect(containerCgroup(driver, parent, 'c')).toEqual({ oci, path });
  });
});

test('expandSlice', () => {
  expect(expandSlice('a-b-c.slice')).toBe('/a.slice/a-b.slice/a-b-c.slice');
  expect(expandSlice('-.slice')).toBe('');
});

test('podCgroup', () => {
  expect(podCgroup('cgroupfs', '/kubepods/podX')).toBe('/kubepods/podX');
  expect(podCgroup('cgroupfs', '')).toBe('');
  expect(podCgroup('systemd', '/kubepods.slice/kubepods-podX.slice')).toBe('/kubepods.slice/kubepods-podX.slice');
});

test('a container is in a cgroup below its scope, which is forgotten with it', () => {
  expect(scopeAnnotations('cgroupfs')).toEqual({});
  expect(scopeAnnotations('systemd')).toMatchObject({ 'run.oci.systemd.subgroup': 'container' });
});
