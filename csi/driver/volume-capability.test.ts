import { expect, test } from 'vitest';
import { csiAccessMode, volumeCapability } from './volume-capability.js';

test.each([
  ['ReadWriteOnce', false, 'SINGLE_NODE_WRITER'],
  ['ReadWriteOnce', true, 'SINGLE_NODE_MULTI_WRITER'],
  ['ReadOnlyMany', true, 'MULTI_NODE_READER_ONLY'],
  ['ReadWriteMany', true, 'MULTI_NODE_MULTI_WRITER'],
  ['ReadWriteOncePod', false, 'SINGLE_NODE_WRITER'],
  ['ReadWriteOncePod', true, 'SINGLE_NODE_SINGLE_WRITER'],
] as const)('%s, SINGLE_NODE_MULTI_WRITER %s: %s', (mode, canMultiWriter, wire) => {
  expect(csiAccessMode(mode, canMultiWriter)).toBe(wire);
});

test('exactly one of block and mount', () => {
  const block = volumeCapability({ accessMode: 'ReadWriteOnce', volumeMode: 'Block', fsType: 'xfs' }, new Set());
  expect(block).toEqual({ accessMode: { mode: 'SINGLE_NODE_WRITER' }, block: {} });
  const mount = volumeCapability(
    {
      accessMode: 'ReadWriteOnce',
      volumeMode: 'Filesystem',
      fsType: 'xfs',
      mountOptions: ['noatime'],
      volumeMountGroup: '5',
    },
    new Set(),
  );
  expect(mount.mount).toEqual({ fsType: 'xfs', mountFlags: ['noatime'], volumeMountGroup: '5' });
  expect('block' in mount).toBe(false);
});
