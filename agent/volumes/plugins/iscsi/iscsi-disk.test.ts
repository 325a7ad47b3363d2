import { expect, test } from 'vitest';
import { diskKey, diskOfKey, diskRecord, iscsiDisk, parseDiskRecord } from './iscsi-disk.js';

const source = {
  targetPortal: '10.0.0.1',
  portals: ['10.0.0.2:3261', '10.0.0.1:3260', '10.0.0.2:3261'],
  iqn: 'iqn.2026-11.com.example:disk-lun-7',
  lun: 0,
};

test('portals get their port and are named once, the target portal first', () => {
  expect(iscsiDisk('pv', source)).toMatchObject({
    portals: ['10.0.0.1:3260', '10.0.0.2:3261'],
    interface: 'default',
    baseInterface: 'default',
  });
});

test('an initiator of its own name gets an interface of its own', () => {
  const disk = iscsiDisk('pv', { ...source, initiatorName: 'iqn.2026-11.com.example:me' });
  expect(disk.interface).toBe('10.0.0.1:3260:pv');
  expect(diskKey(disk, true)).toBe(
    'volumeDevices/iface-10.0.0.1:3260:pv/10.0.0.1:3260-iqn.2026-11.com.example:disk-lun-7-lun-0',
  );
});

test("the folder's name and the record say what the disk is", () => {
  const disk = iscsiDisk('pv', source);
  const { portals, iqn, lun } = disk;
  expect(diskOfKey(diskKey(disk, false))).toMatchObject({ portals: [portals[0]], iqn, lun, interface: 'default' });
  expect(diskOfKey('elsewhere')).toBeUndefined();
  expect(parseDiskRecord(diskRecord(disk))).toEqual(disk);
});

test.each(['', '{', '{}', '{"Portals":[],"Iqn":"i","Lun":"0"}', '{"Portals":["p"],"Iqn":"i","Lun":"x"}', 'null'])(
  'no record: %s',
  (text) => {
    expect(parseDiskRecord(text)).toBeUndefined();
  },
);
