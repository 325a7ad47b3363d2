import { expect, test } from 'vitest';
import { authsOfSecret, readDockerConfig, readLegacyConfig } from './docker-config.js';

const base64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');

test('both kinds of pull secret are read, user and password from either form', () => {
  const auths = { 'https://registry.example.com/v1/': { auth: base64('bob:pass:word') } };
  const modern = authsOfSecret({
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': base64({ auths }) },
  });
  const legacy = authsOfSecret({ type: 'kubernetes.io/dockercfg', data: { '.dockercfg': base64(auths) } });
  for (const found of [modern, legacy]) {
    expect(found.get('registry.example.com')).toEqual({ username: 'bob', password: 'pass:word' });
  }
});

test('a secret of another type gives nothing', () => {
  expect(authsOfSecret({ type: 'Opaque', data: { '.dockerconfigjson': base64({}) } }).size).toBe(0);
});

test.each([
  ['{ "auths": hunter2', 'it is not JSON'],
  ['[]', 'the file is not an object'],
  ['{ "auths": { "r.example": "hunter2" } }', 'r.example is not an object'],
  ['{ "auths": { "r.example": { "password": 7 } } }', 'password of r.example is not a text'],
  [
    `{ "auths": { "r.example": { "auth": "${base64('hunter2')}" } } }`,
    'auth of r.example is not base64 of user:password',
  ],
])('%s: %s, and the content is not quoted', (text, message) => {
  let said = '';
  try {
    readDockerConfig(text);
  } catch (err) {
    said = String(err);
  }
  expect(said).toContain(message);
  expect(said).not.toContain('hunter2');
});

test('credential helpers are named, not run; a file without entries is a good one', () => {
  const { auths, helpers } = readDockerConfig('{"credsStore":"desktop","credHelpers":{"gcr.io":"gcloud"}}');
  expect(auths.size).toBe(0);
  expect(helpers).toEqual(['credHelpers gcloud for gcr.io', 'credsStore desktop']);
});

test('a legacy file holds the entries alone, with and without padding', () => {
  const auth = base64('bob:secret').replace(/=+$/, '');
  expect(readLegacyConfig(JSON.stringify({ 'r.example/team': { auth } })).get('r.example/team')).toMatchObject({
    username: 'bob',
    password: 'secret',
  });
});
