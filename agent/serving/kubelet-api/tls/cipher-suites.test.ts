import { getCiphers } from 'node:tls';
import { expect, test } from 'vitest';
import { cipherList, opensslCipher } from './cipher-suites.js';

test.each([
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA',
  'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305',
  'TLS_RSA_WITH_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
])('%s is a suite that OpenSSL knows', (name) => {
  expect(getCiphers()).toContain(opensslCipher(name).toLowerCase());
});

test('nothing chosen leaves the choice to the platform', () => {
  expect(cipherList([])).toBeUndefined();
});
