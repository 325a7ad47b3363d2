import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { ManifestReader } from './manifest.js';

const reader = new ManifestReader();

function problemsOf(text: string): string[] {
  return reader
    .readText(text)
    .flatMap(({ problems }) => problems.map(({ line, path, message }) => `${line} ${path}: ${message}`));
}

test('what validation finds is placed in the text', () => {
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: a\n    env:\n    - name: A=\n';
  expect(problemsOf(text)).toEqual([
    '7 spec.containers[0].image: Required value',
    `9 spec.containers[0].env[0].name: Invalid value: "A=": a valid environment variable name must not contain '='`,
  ]);
});

test('stringData of a Secret becomes data and wins', () => {
  const [entry] = reader.readText(
    'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: eA==, b: eA==}\nstringData: {a: "ü"}\n',
  );
  expect(entry?.object).toEqual({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    type: 'Opaque',
    data: { a: Buffer.from('ü').toString('base64'), b: 'eA==' },
  });
});

test.each<[string, string, string[]]>([
  [
    'ConfigMap key',
    'kind: ConfigMap\nmetadata: {name: c}\ndata: {"a/b": x, a: z}\nbinaryData: {a: eA==}',
    [
      `4 data["a/b"]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name')`,
      '4 data.a: Invalid value: "a": duplicate of key present in binaryData',
    ],
  ],
  [
    'Secret of a type',
    'kind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata: {name: s}\nstringData: {.dockerconfigjson: "{oops"}',
    ['1 data[".dockerconfigjson"]: Invalid value: is not JSON'],
  ],
  [
    'PersistentVolume',
    'kind: PersistentVolume\nmetadata: {name: p, namespace: x}\nspec: {local: {path: /a/../b}}',
    [
      '3 metadata.namespace: Forbidden: not allowed on this type',
      '4 spec.accessModes: Required value: at least 1 access mode is required',
      '4 spec.capacity.storage: Required value',
      `4 spec.local.path: Invalid value: "/a/../b": must not contain '..'`,
      '4 spec.nodeAffinity: Required value: Local volume requires node affinity',
    ],
  ],
  [
    'PersistentVolumeClaim',
    'kind: PersistentVolumeClaim\nmetadata: {name: p}\nspec: {accessModes: [ReadWriteOnce, ReadWriteOncePod], resources: {requests: {storage: 0}}}',
    [
      '4 spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes',
      '4 spec.resources.requests.storage: Invalid value: "0": must be greater than zero',
    ],
  ],
  [
    'Service',
    'kind: Service\nmetadata: {name: 1a}\nspec: {ports: [{port: 0}, {port: 80, name: a}, {port: 80, name: a}]}',
    [
      `3 metadata.name: Invalid value: "1a": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name', or 'abc-123')`,
      '4 spec.ports[0].name: Required value',
      '4 spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
      '4 spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive',
      '4 spec.ports[2].name: Duplicate value: "a"',
      '4 spec.ports[2]: Duplicate value: "TCP/80"',
    ],
  ],
  ['no metadata', 'kind: ConfigMap', ['1 metadata.name: Required value: name is required']],
])('%s', (_, text, problems) => {
  expect(problemsOf(`apiVersion: v1\n${text}\n`)).toEqual(problems);
});
