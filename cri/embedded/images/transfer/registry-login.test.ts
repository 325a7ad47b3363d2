import { expect, test } from 'vitest';
import { parseReference } from '../reference.js';
import { authEntry } from './registry-login.js';

const reference = parseReference('example.com:5000/x:1');
const base64 = (text: string): string => Buffer.from(text).toString('base64');

test.each([
  [undefined, undefined],
  [null, undefined],
  [{}, undefined],
  [{ username: 'u', password: 'p:q' }, { auth: base64('u:p:q') }],
  [{ auth: base64('u:p') }, { auth: base64('u:p') }],
  [{ auth: base64('u:p\0') }, { auth: base64('u:p') }],
  [{ identityToken: 't' }, { auth: base64('<token>:'), identitytoken: 't' }],
  [{ username: 'u', password: 'p', serverAddress: 'https://example.com:5000/v2/' }, { auth: base64('u:p') }],
  [{ username: 'u', password: 'p', serverAddress: 'example.com' }, undefined],
])('%j gives %j', (auth, entry) => {
  expect(authEntry(reference, auth)).toEqual(entry);
});

test("Docker Hub's many names are one", () => {
  const hub = parseReference('busybox');
  for (const serverAddress of ['https://index.docker.io/v1/', 'docker.io', 'registry-1.docker.io']) {
    expect(authEntry(hub, { username: 'u', password: 'p', serverAddress })).toBeDefined();
  }
});

test('what cannot be sent on is refused, without its words', () => {
  expect(() => authEntry(reference, { auth: 'c2VjcmV0' })).toThrow(/not base64/);
  expect(() => authEntry(reference, { registryToken: 'secret' })).toThrow(/not supported/);
});
