import { expect, test } from 'vitest';
import { driverFolderName, driverNameOfFolder, driverProgram, isDriverName } from './driver-name.js';

test.each(['lvm', 'example.com/lvm', 'k8s/nfs_v4'])(
  '%s is a name and survives the way to a folder and back',
  (name) => {
    expect(isDriverName(name)).toBe(true);
    expect(driverNameOfFolder(driverFolderName(name))).toBe(name);
  },
);

test.each(['', '/', '../x', 'a/..', 'a/b/c', '.hidden', 'a/.b', 'a b', 'a/\0'])('%j is not', (name) => {
  expect(isDriverName(name)).toBe(false);
});

test('the program', () => {
  expect(driverProgram('/exec', 'example.com/lvm')).toBe('/exec/example.com~lvm/lvm');
  expect(driverProgram('/exec', 'lvm')).toBe('/exec/lvm/lvm');
  expect(driverNameOfFolder('.git')).toBeUndefined();
});
