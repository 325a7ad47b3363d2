import { expect, test } from 'vitest';
import { credentialsOfSecret, matchingCredentials, parseDockerConfig } from './registry-credentials.js';

const base64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');

test('both kinds of pull secret are read, user and password from either form', () => {
  const auths = { 'https://registry.example.com/v1/': { auth: base64('bob:pass:word') } };
  const modern = credentialsOfSecret({
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': base64({ auths }) },
  });
  const legacy = credentialsOfSecret({ type: 'kubernetes.io/dockercfg', data: { '.dockercfg': base64(auths) } });
  for (const credentials of [modern, legacy]) {
    expect(credentials.get('registry.example.com')).toMatchObject({ username: 'bob', password: 'pass:word' });
  }
});

test('a secret of another type gives nothing, bad JSON is an error', () => {
  expect(credentialsOfSecret({ type: 'Opaque', data: { '.dockerconfigjson': base64({}) } }).size).toBe(0);
  expect(() =>
    credentialsOfSecret({ type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': base64('{') } }),
  ).toThrow(SyntaxError);
});

test.each([
  ['registry.example.com/team/app:1', ['registry.example.com/team', 'registry.example.com']],
  ['registry.example.com/other/app', ['registry.example.com']],
  ['eu.gcr.example.com/app', ['*.gcr.example.com']],
  ['localhost:5000/app', ['localhost:5000']],
  ['localhost:5001/app', []],
  ['busybox', ['docker.io']],
  ['docker.io/library/busybox@sha256:abc', ['docker.io']],
])('%s may use %j, the most specific first', (image, expected) => {
  const entries = [
    'registry.example.com',
    'registry.example.com/team',
    '*.gcr.example.com',
    'localhost:5000',
    'docker.io',
  ];
  const credentials = parseDockerConfig(Object.fromEntries(entries.map((entry) => [entry, { username: entry }])));
  expect(matchingCredentials(image, credentials).map((auth) => auth.username)).toEqual(expected);
});
