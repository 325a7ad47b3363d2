import { expect, test } from 'vitest';
import { csiBlockPaths, csiDataFolder, csiPublishPath, csiStagingPath, parseCsiPath } from './csi-paths.js';
import { attachmentId, ephemeralHandle, isCsiDriverName } from './volume-ids.js';

const root = '/var/lib/kubelet';
/** sha256 of `vol-1`. */
const hash = 'd2e8363faaac7ae76def3b14091d8eb5755f6b92e9531627aeec833a8731cc49';

test('the paths of a kubelet', () => {
  const staging = csiStagingPath(root, 'd.example.com', 'vol-1');
  expect(staging).toMatch(
    /^\/var\/lib\/kubelet\/plugins\/kubernetes\.io\/csi\/d\.example\.com\/[0-9a-f]{64}\/globalmount$/,
  );
  expect(csiPublishPath(root, 'uid', 'pv/1')).toBe('/var/lib/kubelet/pods/uid/volumes/kubernetes.io~csi/pv~1/mount');
  expect(csiBlockPaths(root, 'uid', 'pv-1')).toEqual({
    staging: '/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/staging/pv-1',
    publishFolder: '/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/publish/pv-1',
    publish: '/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/publish/pv-1/uid',
    globalMap: '/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/pv-1/dev',
    data: '/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/pv-1/data',
    volumeFolder: '/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/pv-1',
    podMap: '/var/lib/kubelet/pods/uid/volumeDevices/kubernetes.io~csi/pv-1',
  });
});

test('a path is understood again, with or without its last part', () => {
  const staging = csiStagingPath(root, 'd.example.com', 'vol-1');
  const place = parseCsiPath(root, staging);
  expect(place).toMatchObject({ kind: 'staging', driver: 'd.example.com' });
  expect(parseCsiPath(root, csiDataFolder(staging))).toEqual(place);
  const publish = csiPublishPath(root, 'uid', 'pv-1');
  expect(parseCsiPath(root, publish)).toEqual({ kind: 'publish', podUid: 'uid', specName: 'pv-1' });
  expect(parseCsiPath(root, csiDataFolder(publish))).toEqual({ kind: 'publish', podUid: 'uid', specName: 'pv-1' });
});

test.each([
  '/var/lib/kubelet',
  '/elsewhere/pods/u/volumes/kubernetes.io~csi/v/mount',
  `${root}/pods/u/volumes/kubernetes.io~nfs/v/mount`,
  `${root}/pods/u/volumes/kubernetes.io~csi/v/mount/deeper`,
  `${root}/pods/u/volumes/kubernetes.io~csi/v/other`,
  `${root}/plugins/kubernetes.io/csi/d/nothash/globalmount`,
  `${root}/plugins/kubernetes.io/csi/d/${hash}/globalmount/x`,
])('%s is no such path', (path) => {
  expect(parseCsiPath(root, path)).toBeUndefined();
});

test('ids are hashes over the words one after another, as the control plane computes them too', () => {
  // printf '%s' 'vol-1d.example.comnode-1' | sha256sum
  expect(attachmentId('vol-1', 'd.example.com', 'node-1')).toBe(
    'csi-4499ee017ffbd7c27adcaf4b6d7385ae0ab9c5fa487205ab041ef1825c4e8e71',
  );
  // printf '%s' 'uid-1scratch' | sha256sum
  expect(ephemeralHandle('uid-1', 'scratch')).toBe(
    'csi-a919eb5a57ed1bf8c61a802fc713b36e9bfa4fbf009dfb5f4206d253a3a3dc32',
  );
});

test.each([
  ['hostpath.csi.k8s.io', true],
  ['a', true],
  ['', false],
  ['a/b', false],
  ['..', false],
  ['a..b', false],
  ['-a', false],
  ['a-', false],
  ['x'.repeat(64), false],
])('%s as a driver name: %s', (name, valid) => {
  expect(isCsiDriverName(name)).toBe(valid);
});
