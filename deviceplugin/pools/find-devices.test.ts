import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findDevices } from './find-devices.js';

let sysfs: string;

beforeEach(() => {
  sysfs = mkdtempSync(join(tmpdir(), 'berth-sysfs-'));
});
afterEach(() => rmSync(sysfs, { recursive: true, force: true }));

/** /dev/null as it would be if it were below these, the one next to the root first. */
function placeNull(...above: readonly { readonly name: string; readonly numaNode?: string }[]): void {
  let folder = join(sysfs, 'devices');
  for (const { name, numaNode } of above) {
    folder = join(folder, name);
    mkdirSync(folder, { recursive: true });
    if (numaNode !== undefined) writeFileSync(join(folder, 'numa_node'), `${numaNode}\n`);
  }
  mkdirSync(join(sysfs, 'dev/char'), { recursive: true });
  symlinkSync(folder, join(sysfs, 'dev/char/1:3'));
}

const nodesOfNull = async (): Promise<unknown> =>
  (await findDevices(['/dev/nul[l]'], sysfs)).devices.map(({ path, numaNodes }) => ({ path, numaNodes }));

test.each([
  ['of its own', [{ name: 'pci0000:80' }, { name: '0000:80:01.0', numaNode: '1' }], [1]],
  [
    'of the PCI device it belongs to',
    [{ name: 'pci0000:80' }, { name: '0000:81:00.0', numaNode: '1' }, { name: 'virtio2' }, { name: 'block/vdb' }],
    [1],
  ],
  [
    'of the nearest that has one',
    [
      { name: 'bridge', numaNode: '0' },
      { name: 'card', numaNode: '-1' },
    ],
    [0],
  ],
  ['on a machine that tells of none', [{ name: 'card', numaNode: '-1' }, { name: 'tty/ttyUSB0' }], []],
])('NUMA node %s', async (_, above, numaNodes) => {
  placeNull(...above);
  expect(await nodesOfNull()).toEqual([{ path: '/dev/null', numaNodes }]);
});

test('a device the kernel knows no place of is near no node', async () => {
  expect(await nodesOfNull()).toEqual([{ path: '/dev/null', numaNodes: [] }]);
});
