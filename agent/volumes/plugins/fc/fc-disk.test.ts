import { expect, test } from 'vitest';
import { fcDisk, fcDiskOfKey, fcKey, fcLinks } from './fc-disk.js';

test.each([
  [{ targetWWNs: ['500a0982991b8dc5', '500a0982891b8dc5'], lun: 2 }, '500a0982991b8dc5-500a0982891b8dc5-lun-2'],
  [{ wwids: ['3600508b400105e210000900000490000'] }, '3600508b400105e210000900000490000'],
  [{ targetWWNs: ['500a0982991b8dc5'], wwids: ['w1', 'w2'] }, 'w1-w2'],
])('the folder of %j', (source, key) => {
  const disk = fcDisk(source);
  expect(fcKey(disk, false)).toBe(key);
  expect(fcKey(disk, true)).toBe(`volumeDevices/${key}`);
  expect(fcDiskOfKey(fcKey(disk, true))).toEqual(disk);
});

test.each([[{}], [{ targetWWNs: ['a'] }], [{ lun: 1 }], [{ wwids: ['../x'] }]])('%j is refused', (source) => {
  expect(() => fcDisk(source)).toThrow(/^fc: /);
});

test("udev's links", () => {
  const byPath = [
    'pci-0000:41:00.0-fc-0x500a0981891b8dc5-lun-0',
    'fc-0x500a0981891b8dc5-lun-0',
    'pci-0000:41:00.0-fc-0x500a0981891b8dc5-lun-0-part1',
    'pci-0000:41:00.0-fc-0x500a0981891b8dc5-lun-10',
    'ip-1.2.3.4:3260-fc-0x500a0981891b8dc5-lun-0',
  ];
  const byId = ['scsi-36005', 'scsi-36005-part1', 'scsi-ACME_disk_7', 'wwn-0x6005'];
  const names = (disk: Parameters<typeof fcLinks>[0]): string[] =>
    fcLinks(disk, { byPath, byId }).map(({ name }) => name);
  expect(names({ by: 'ports', wwns: ['500a0981891b8dc5'], lun: 0 })).toEqual([
    'pci-0000:41:00.0-fc-0x500a0981891b8dc5-lun-0',
    'fc-0x500a0981891b8dc5-lun-0',
  ]);
  expect(names({ by: 'names', wwids: ['36005'] })).toEqual(['scsi-36005']);
  expect(names({ by: 'names', wwids: ['ACME disk 7'] })).toEqual(['scsi-ACME_disk_7']);
});
