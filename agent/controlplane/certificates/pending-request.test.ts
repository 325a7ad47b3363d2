import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import type { CertificateSigningRequest } from '../../api/index.js';
import { ApiError } from '../kubernetes/client/index.js';
import { certificateRequest } from './certificate-request.js';
import { makeCertificate, makeKey, nodeSubject, PendingKey, type CertificateApi } from './index.js';
import { requestCertificate, type CertificateWish } from './request-certificate.js';
import { requestName } from './request-name.js';
import { keyObject, publicKeyInfo } from './x509-parts.js';

const never = new AbortController().signal;
const usages = ['digital signature', 'client auth'];
const signerName = 'kubernetes.io/kube-apiserver-client-kubelet';
const subject = nodeSubject('golden-node');
/** Made by a kubelet 1.36, as it left it in its folder, and the name of the request that it had sent. */
const kubeletsKey = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEICOqX0su0/ANq3jJNj+ag3BSFIsPC8D5f50AAExtUGbuoAoGCCqGSM49
AwEHoUQDQgAEIlvLRlBsM7lRFgX+14FKsGgE72IUsTqVrziKoFTHSjFGtM0oXbMF
6OK0RY3Ed2Q9EyGrIo18VJYLxw0oT7RC+Q==
-----END EC PRIVATE KEY-----
`;
const kubeletsName = 'node-csr-8GMLU2mlqY5CejtphvdLmIKqjbijydmHTTee_ScinFM';

test('a request has the name that a kubelet gives it, and a key that a kubelet left is used', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'berth-pending-'));
  try {
    const path = join(dir, 'pki', 'kubelet-client.key.tmp');
    const pending = new PendingKey(path);
    const made = await pending.take();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await new PendingKey(path).take()).toBe(made);
    await writeFile(path, kubeletsKey);
    expect(requestName(await pending.take(), subject, usages)).toBe(kubeletsName);
    expect(requestName(await pending.take(), nodeSubject('other-node'), usages)).not.toBe(kubeletsName);
    for (const spoilt of ['', kubeletsKey.slice(0, 80)]) {
      await writeFile(path, spoilt);
      const fresh = await pending.take();
      expect(await readFile(path, 'utf8')).toBe(fresh);
    }
    await pending.drop();
    await pending.drop();
    expect(existsSync(path)).toBe(false);
  } finally {
    await rm(dir, { recursive: true });
  }
});

/** Keeps requests by name, and refuses a second one of a name. */
class Requests implements CertificateApi {
  readonly known = new Map<string, CertificateSigningRequest>();

  json<T>({ method, path, body }: { method: 'GET' | 'POST'; path: string; body?: unknown }): Promise<T> {
    const request = body as CertificateSigningRequest;
    const name = method === 'POST' ? (request.metadata?.name ?? '') : (path.split('/').at(-1) ?? '');
    const known = this.known.get(name);
    if (method === 'GET' && known) return Promise.resolve(known as T);
    if (method === 'GET' || known)
      return Promise.reject(
        new ApiError(`${method} ${path}`, { code: 'status', status: known ? 409 : 404, reason: '' }),
      );
    this.known.set(name, request);
    return Promise.resolve(request as T);
  }
}

interface Case {
  readonly signer?: string;
  readonly key?: string;
  readonly validForMs?: number;
}

test.each<[string, Case, 'taken' | RegExp]>([
  ['its certificate', {}, 'taken'],
  ['one that has expired meanwhile', { validForMs: -1000 }, /its certificate has expired/],
  ['one for another signer', { signer: 'example.com/other' }, /it is for example\.com\/other/],
  ['one for another key', { key: 'another' }, /it is for another key/],
])(
  'a request that is there already, with %s',
  async (_what, { signer = signerName, key, validForMs = 60_000 }, outcome) => {
    const keyPem = await makeKey();
    const askedWith = key === undefined ? keyPem : await makeKey();
    const name = requestName(keyPem, subject, usages);
    const issuer = { subject: { commonName: 'authority' }, keyPem: await makeKey() };
    const [notBefore, notAfter] = [Date.now() - 60_000, Date.now() + validForMs];
    const certificate = makeCertificate({ subject, keyPem: askedWith, issuer, notBefore, notAfter, use: 'client' });
    const api = new Requests();
    api.known.set(name, {
      metadata: { name },
      spec: {
        request: Buffer.from(certificateRequest(askedWith, subject)).toString('base64'),
        signerName: signer,
        usages,
      },
      status: { certificate: Buffer.from(certificate).toString('base64') },
    });
    const wish: CertificateWish = {
      ...{ request: certificateRequest(keyPem, subject), signerName, usages, name },
      publicKey: publicKeyInfo(keyObject(keyPem)),
    };
    const asked = requestCertificate(wish, { api, clock: systemClock, timeoutMs: 1000 }, never);
    if (outcome === 'taken') expect(await asked).toBe(certificate);
    else await expect(asked).rejects.toThrow(outcome);
  },
);
