import { expect, test } from 'vitest';
import { optionsJson } from './volume-options.js';

const volume = { volumeName: 'pv-1', fsType: 'xfs', readOnly: true, options: { server: '10.0.0.1' } };
const pod = { name: 'web', namespace: 'shop', uid: 'u-1', serviceAccountName: 'default' };

test('every call gets the options of the volume', () => {
  expect(optionsJson(volume)).toBe(
    '{"kubernetes.io/fsType":"xfs","kubernetes.io/pvOrVolumeName":"pv-1","kubernetes.io/readwrite":"ro","server":"10.0.0.1"}',
  );
});

test('mount gets pod, service account, secrets and fsGroup too', () => {
  const json = optionsJson({ ...volume, readOnly: false, pod, fsGroup: 2000, secrets: { password: 'hunter22' } });
  expect(JSON.parse(json)).toEqual({
    'kubernetes.io/fsType': 'xfs',
    'kubernetes.io/readwrite': 'rw',
    'kubernetes.io/pvOrVolumeName': 'pv-1',
    'kubernetes.io/pod.name': 'web',
    'kubernetes.io/pod.namespace': 'shop',
    'kubernetes.io/pod.uid': 'u-1',
    'kubernetes.io/serviceAccount.name': 'default',
    'kubernetes.io/mounterArgs.FsGroup': '2000',
    'kubernetes.io/secret/password': Buffer.from('hunter22').toString('base64'),
    server: '10.0.0.1',
  });
});

test("the user's options win", () => {
  const json = optionsJson({ volumeName: 'v', readOnly: true, options: { 'kubernetes.io/readwrite': 'rw' } });
  expect(JSON.parse(json)).toMatchObject({ 'kubernetes.io/readwrite': 'rw' });
});
