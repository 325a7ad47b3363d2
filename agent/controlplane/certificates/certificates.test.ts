import { X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { certificateRequest, makeCertificate, makeKey } from './index.js';

const now = Date.parse('2026-01-01T00:00:00Z');
const names = { dnsNames: ['node-1', 'node-1.example'], addresses: ['10.0.0.1', 'fd00::1:2'] };

test('an authority issues a certificate that others verify', async () => {
  const authorityKey = await makeKey();
  const subject = { commonName: 'test authority' };
  const authority = new X509Certificate(
    makeCertificate({ subject, keyPem: authorityKey, notBefore: now, notAfter: now + 1e10, use: 'authority' }),
  );
  const certificate = new X509Certificate(
    makeCertificate({
      subject: { commonName: 'system:node:a', organizations: ['system:nodes'] },
      keyPem: await makeKey(),
      issuer: { subject, keyPem: authorityKey },
      notBefore: now,
      notAfter: Date.parse('2060-01-01T00:00:00Z'),
      use: 'server',
      names,
    }),
  );
  expect(authority.ca).toBe(true);
  expect(certificate.ca).toBe(false);
  expect(certificate.verify(authority.publicKey)).toBe(true);
  expect(certificate.checkIssued(authority)).toBe(true);
  expect(certificate.subject).toBe('O=system:nodes\nCN=system:node:a');
  expect(certificate.subjectAltName).toBe(
    'DNS:node-1, DNS:node-1.example, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:1:2',
  );
  expect(new Date(certificate.validTo).getUTCFullYear()).toBe(2060);
});

test('a request carries subject, names and a valid signature', async () => {
  const request = certificateRequest(
    await makeKey(),
    { commonName: 'system:node:a', organizations: ['system:nodes'] },
    names,
  );
  const text = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], {
    input: request,
    encoding: 'utf8',
    stdio: 'pipe',
  });
  expect(text).toContain('O = system:nodes, CN = system:node:a');
  expect(text).toContain('DNS:node-1, DNS:node-1.example, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:1:2');
});
