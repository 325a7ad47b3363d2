import { expect, test } from 'vitest';
import { classSecrets } from './class-secrets.js';

const claim = { metadata: { name: 'mine', namespace: 'shop', annotations: { 'team.example.com/key': 'red' } } };
const secretsOf = (parameters: Record<string, string>) =>
  classSecrets(
    Object.fromEntries(Object.entries(parameters).map(([key, value]) => [`csi.storage.k8s.io/${key}`, value])),
    claim,
    'pvc-1',
  );

test('names are filled in for each use', () => {
  expect(
    secretsOf({
      fstype: 'xfs',
      'provisioner-secret-name': 'admin',
      'provisioner-secret-namespace': 'storage',
      'node-stage-secret-name': '${pvc.name}-${pv.name}',
      'node-stage-secret-namespace': '${pvc.namespace}',
      'node-publish-secret-name': "${pvc.annotations['team.example.com/key']}",
      'node-publish-secret-namespace': 'a-${pv.name}',
    }),
  ).toEqual({
    provisioner: { name: 'admin', namespace: 'storage' },
    'node-stage': { name: 'mine-pvc-1', namespace: 'shop' },
    'node-publish': { name: 'red', namespace: 'a-pvc-1' },
  });
});

test.each([
  ['a name without a namespace', { 'node-stage-secret-name': 'x' }, /must have both .*node-stage-secret-name and/],
  ['an empty name', { 'node-stage-secret-name': '', 'node-stage-secret-namespace': 'x' }, /must have both/],
  [
    'a word that stands for nothing',
    { 'node-stage-secret-name': '${pvc.uid}', 'node-stage-secret-namespace': 'x' },
    /\$\{pvc.uid\} in "\$\{pvc.uid\}" stands for nothing/,
  ],
  [
    'an annotation for what is needed after the claim',
    {
      'provisioner-secret-name': "${pvc.annotations['team.example.com/key']}",
      'provisioner-secret-namespace': 'x',
    },
    /stands for nothing/,
  ],
  [
    'a namespace by the name of the claim',
    { 'node-stage-secret-name': 'x', 'node-stage-secret-namespace': '${pvc.name}' },
    /stands for nothing/,
  ],
  ['no valid name', { 'node-stage-secret-name': 'A b', 'node-stage-secret-namespace': 'x' }, /"A b" is no valid name/],
  ['an unknown key', { 'node-stage-secrets-name': 'x' }, /unknown parameter key "csi.storage.k8s.io\/node-stage-sec/],
])('%s is refused', (_what, parameters, words) => {
  expect(() => secretsOf(parameters)).toThrow(words);
});
