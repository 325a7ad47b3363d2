import { expect, test } from 'vitest';
import type { ObjectRow } from './contract.js';
import { withoutSecrets } from './without-secrets.js';

test('a secret keeps its keys and loses its values, wherever they stand', () => {
  const secret: ObjectRow = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: 'door',
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': '{"stringData":{"a":"open sesame"}}',
        other: 'x',
      },
    } as ObjectRow['metadata'],
    type: 'Opaque',
    data: { password: Buffer.from('open sesame').toString('base64') },
    stringData: { more: 'hidden' },
  };
  const shown = withoutSecrets(secret);
  expect(shown).toEqual({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'door', annotations: { other: 'x' } },
    type: 'Opaque',
    data: { password: '(11 bytes)', more: '(6 bytes)' },
  });
});

test('a config map stays as it is', () => {
  const map: ObjectRow = { apiVersion: 'v1', kind: 'ConfigMap', metadata: {}, data: { a: 'b' } };
  expect(withoutSecrets(map)).toBe(map);
});
