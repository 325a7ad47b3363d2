import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { csiDataFolder, csiPublishPath, csiStagingPath } from './csi-paths.js';
import { recoverVolumeData } from './recover-volume-data.js';
import { readVolumeData, removeVolumeFolder, writeVolumeData } from './volume-data.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-voldata-'));
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

const data = {
  driverName: 'd.example.com',
  volumeHandle: 'vol-1',
  specVolID: 'pv-1',
  nodeName: 'n',
  attachmentID: 'csi-x',
  volumeLifecycleMode: 'Persistent',
} as const;

test('the file is the one a kubelet writes, and is read again', async () => {
  const folder = join(root, 'a', 'b');
  await writeVolumeData(folder, { ...data, seLinuxMountContext: undefined });
  expect(await readFile(join(folder, 'vol_data.json'), 'utf8')).toBe(
    '{"attachmentID":"csi-x","driverName":"d.example.com","nodeName":"n","specVolID":"pv-1",' +
      '"volumeHandle":"vol-1","volumeLifecycleMode":"Persistent"}\n',
  );
  expect(await readVolumeData(folder)).toEqual({ kind: 'read', data });
});

test.each([
  ['empty', ''],
  ['cut off', '{"driverName":"d"'],
  ['no object', '[]'],
  ['no handle', '{"driverName":"d"}'],
  ['a handle that is no word', '{"driverName":"d","volumeHandle":7}'],
  ['an unknown mode', '{"driverName":"d","volumeHandle":"v","volumeLifecycleMode":"Sometimes"}'],
])('%s: set aside and kept', async (_what, text) => {
  await writeFile(join(root, 'vol_data.json'), text);
  const read = await readVolumeData(root);
  if (read.kind !== 'set-aside') throw new Error(`expected set-aside, got ${read.kind}`);
  expect(await readFile(read.movedTo, 'utf8')).toBe(text);
  expect(await readVolumeData(root)).toEqual({ kind: 'missing' });
});

test('a folder goes with its records, twice without complaint, and never with anything else in it', async () => {
  const target = csiPublishPath(root, 'uid', 'pv-1');
  const folder = dirname(target);
  await writeVolumeData(folder, data);
  await mkdir(target);
  await writeFile(join(folder, 'vol_data.json.corrupt-1'), '');
  await writeFile(join(folder, 'vol_data.json.tmp-abc'), '');
  expect(await removeVolumeFolder(target)).toEqual({ kind: 'removed' });
  expect(await removeVolumeFolder(target)).toEqual({ kind: 'removed' });
  expect(await readdir(dirname(folder))).toEqual([]);

  await mkdir(target, { recursive: true });
  await writeFile(join(folder, 'notes.txt'), 'mine');
  expect(await removeVolumeFolder(target)).toEqual({ kind: 'not-empty', path: folder });
  expect(await readFile(join(folder, 'notes.txt'), 'utf8')).toBe('mine');
});

const known = [{ driverName: 'd.example.com', volumeHandle: 'vol-1', specVolID: 'pv-1' }];

test('a staging path is recognised by the hash of a known handle', async () => {
  const path = csiStagingPath(root, 'd.example.com', 'vol-1');
  const found = { driverName: 'd.example.com', volumeHandle: 'vol-1' };
  expect(await recoverVolumeData(root, path, { known, mountinfo: '' })).toEqual(found);
  expect(await recoverVolumeData(root, path, { known: [], mountinfo: '' })).toBeUndefined();
  const foreign = csiStagingPath(root, 'other.example.com', 'vol-1');
  expect(await recoverVolumeData(root, foreign, { known, mountinfo: '' })).toBeUndefined();
});

test('a publish path is recognised by its volume, when only one can be meant', async () => {
  const path = csiPublishPath(root, 'uid', 'pv-1');
  expect(await recoverVolumeData(root, path, { known, mountinfo: '' })).toEqual({
    driverName: 'd.example.com',
    volumeHandle: 'vol-1',
    specVolID: 'pv-1',
    volumeLifecycleMode: 'Persistent',
  });
  const inline = { driverName: 'e', volumeHandle: 'csi-1', specVolID: 'pv-1', podUid: 'uid' };
  const elsewhere = { ...inline, podUid: 'other' };
  expect(await recoverVolumeData(root, path, { known: [inline], mountinfo: '' })).toMatchObject({
    volumeLifecycleMode: 'Ephemeral',
  });
  expect(await recoverVolumeData(root, path, { known: [elsewhere], mountinfo: '' })).toBeUndefined();
  expect(await recoverVolumeData(root, path, { known: [...known, inline], mountinfo: '' })).toBeUndefined();
});

const mount = (device: string, rootInDevice: string, path: string): string =>
  `100 1 ${device} ${rootInDevice} ${path.replaceAll(' ', String.raw`\040`)} rw shared:1 - ext4 /dev/x rw`;

test('a publish path nobody knows is recognised by what is mounted at the staging path too', async () => {
  const path = csiPublishPath(root, 'uid', 'pv 1');
  const staging = csiStagingPath(root, 'd.example.com', 'vol-1');
  await writeVolumeData(csiDataFolder(staging), { driverName: 'd.example.com', volumeHandle: 'vol-1' });
  const peers = [mount('7:1', '/', staging), mount('7:1', '/', path), mount('7:2', '/', '/elsewhere')].join('\n');
  expect(await recoverVolumeData(root, path, { known: [], mountinfo: peers })).toMatchObject({ volumeHandle: 'vol-1' });
  // Folders of one file system share the device: only the same folder in it is the same volume.
  const cousins = [mount('8:1', '/vols/a', staging), mount('8:1', '/vols/b', path)].join('\n');
  expect(await recoverVolumeData(root, path, { known: [], mountinfo: cousins })).toBeUndefined();
  const twice = [mount('7:1', '/', csiStagingPath(root, 'd', 'other')), peers].join('\n');
  expect(await recoverVolumeData(root, path, { known: [], mountinfo: twice })).toBeUndefined();
});

test('a staging record that names another volume than its folder is not trusted', async () => {
  const path = csiPublishPath(root, 'uid', 'pv-1');
  const staging = csiStagingPath(root, 'd.example.com', 'vol-1');
  await writeVolumeData(csiDataFolder(staging), { driverName: 'd.example.com', volumeHandle: 'vol-2' });
  const mountinfo = [mount('7:1', '/', staging), mount('7:1', '/', path)].join('\n');
  expect(await recoverVolumeData(root, path, { known: [], mountinfo })).toBeUndefined();
});
