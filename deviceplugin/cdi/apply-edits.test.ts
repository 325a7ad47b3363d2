import { expect, test } from 'vitest';
import { applyContainerEdits } from './apply-edits.js';
import type { ContainerEdits } from './cdi-spec.js';
import { resolveEdits, type ResolvedEdits, type StatDevice } from './resolved-edits.js';

const host: StatDevice = async (path) =>
  await Promise.resolve(
    path === '/dev/nvidia0'
      ? ({ type: 'c', major: 195, minor: 0, mode: 0o660 } as const)
      : path === '/dev/sda'
        ? ({ type: 'b', major: 8, minor: 0, mode: 0o600 } as const)
        : undefined,
  );
const edits = async (...list: ContainerEdits[]): Promise<ResolvedEdits> => await resolveEdits(list, host);

const base = {
  ociVersion: '1.1.0',
  process: { args: ['sh'], env: ['PATH=/bin', 'A=old'], user: { uid: 0, gid: 0 } },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/a/b', source: '/x', options: ['bind'] },
  ],
  linux: {
    devices: [{ path: '/dev/x', type: 'c', major: 1, minor: 3 }],
    resources: { memory: { limit: 7 }, devices: [] },
  },
};

test('everything at its place; what is not touched stays', async () => {
  const result = applyContainerEdits(
    base,
    await edits({
      env: ['A=new', 'B=1'],
      deviceNodes: [{ path: '/dev/gpu', hostPath: '/dev/nvidia0', permissions: 'rw' }],
      mounts: [{ hostPath: '/lib/x', containerPath: '/a', options: ['ro', 'bind'] }],
      hooks: [{ hookName: 'createContainer', path: '/hook', args: ['hook'], timeout: 3 }],
      additionalGids: [0, 44],
      intelRdt: { closID: 'gold' },
      netDevices: [{ hostInterfaceName: 'eth7', name: 'net0' }],
    }),
  );
  expect(result).toEqual({
    ociVersion: '1.1.0',
    process: { args: ['sh'], env: ['PATH=/bin', 'A=new', 'B=1'], user: { uid: 0, gid: 0, additionalGids: [44] } },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/a', source: '/lib/x', options: ['ro', 'bind'] },
      { destination: '/a/b', source: '/x', options: ['bind'] },
    ],
    hooks: { createContainer: [{ path: '/hook', args: ['hook'], timeout: 3 }] },
    linux: {
      devices: [
        { path: '/dev/x', type: 'c', major: 1, minor: 3 },
        { path: '/dev/gpu', type: 'c', major: 195, minor: 0, fileMode: 0o660 },
      ],
      resources: { memory: { limit: 7 }, devices: [{ allow: true, type: 'c', major: 195, minor: 0, access: 'rw' }] },
      intelRdt: { closID: 'gold' },
      netDevices: { eth7: { name: 'net0' } },
    },
  });
});

test('the given specification is not changed, and the edits twice are the edits once', async () => {
  const before = structuredClone(base);
  const resolved = await edits({
    env: ['B=1'],
    deviceNodes: [{ path: '/dev/nvidia0' }],
    mounts: [{ hostPath: '/lib/x', containerPath: '/lib/x' }],
    hooks: [{ hookName: 'poststop', path: '/hook' }],
    additionalGids: [44],
  });
  const once = applyContainerEdits(base, resolved);
  expect(base).toEqual(before);
  expect(applyContainerEdits(once, resolved)).toEqual(once);
});

test('nodes for a process that is not root belong to it', async () => {
  const spec = { process: { user: { uid: 1000, gid: 100 } } };
  const result = applyContainerEdits(
    spec,
    await edits({ deviceNodes: [{ path: '/dev/nvidia0' }, { path: '/dev/sda', uid: 0 }] }),
  );
  expect(result).toMatchObject({
    linux: {
      devices: [
        { path: '/dev/nvidia0', uid: 1000, gid: 100 },
        { path: '/dev/sda', type: 'b', uid: 0, gid: 100 },
      ],
    },
  });
});

test('bind mounts in a user namespace map their ids', async () => {
  const spec = { linux: { namespaces: [{ type: 'user' }] } };
  const result = applyContainerEdits(
    spec,
    await edits({
      mounts: [
        { hostPath: '/a', containerPath: '/a', options: ['rbind'] },
        { hostPath: 'tmpfs', containerPath: '/b', type: 'tmpfs' },
      ],
    }),
  );
  expect((result as { mounts?: unknown }).mounts).toEqual([
    { source: '/a', destination: '/a', options: ['rbind', 'idmap'] },
    { source: 'tmpfs', destination: '/b', type: 'tmpfs', options: [] },
  ]);
});

test('permissions "none" and a node that is described in full need nothing from the host', async () => {
  const { deviceNodes } = await edits({
    deviceNodes: [{ path: '/dev/z', type: 'c', major: 9, minor: 4, permissions: 'none' }],
  });
  expect(deviceNodes[0]).toMatchObject({ type: 'c', major: 9, minor: 4, access: '' });
});

test.each([
  [{ path: '/dev/none' }, /not on this host/],
  [{ path: '/dev/sda', type: 'c' } as const, /is of type b, the CDI file says c/],
])('%o is refused', async (node, words) => {
  await expect(edits({ deviceNodes: [node] })).rejects.toThrow(words);
});
