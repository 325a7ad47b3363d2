import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import type { CertificateSigningRequest } from '../../api/index.js';
import { CertificateStore, rotatingServingCertificate, type CertificateApi } from './index.js';

/** A cluster in which nobody decides on a request. */
class Undecided implements CertificateApi {
  readonly asked: string[] = [];

  json<T>({ method, path, body }: { method: 'GET' | 'POST'; path: string; body?: unknown }): Promise<T> {
    if (method === 'GET') return Promise.resolve({ metadata: { name: path.split('/').at(-1) } } as T);
    const { spec } = body as CertificateSigningRequest;
    const name = `csr-${this.asked.length}`;
    this.asked.push(Buffer.from(spec.request, 'base64').toString());
    return Promise.resolve({ metadata: { name } } as T);
  }
}

let dir: string;
beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'berth-rotating-'))));
afterEach(async () => await rm(dir, { recursive: true }));

test('a request that waits is given up for one with other names, and for nothing else', async () => {
  const api = new Undecided();
  let names = { dnsNames: ['here'], addresses: ['10.0.0.1', 'fd00::1'] };
  const store = new CertificateStore(dir, 'kubelet-server');
  const deps = { api, store, clock: systemClock, log: silentLogger, names: () => names };
  await using serving = rotatingServingCertificate('here', deps);
  await serving.start();
  await vi.waitFor(() => expect(serving.problem).toContain('approval of csr-0'));
  // The node tells the same in another order, as it may.
  names = { dnsNames: ['here'], addresses: ['fd00::1', '10.0.0.1'] };
  serving.check();
  names = { dnsNames: ['here'], addresses: ['10.0.0.2'] };
  serving.check();
  await vi.waitFor(() => expect(serving.problem).toContain('approval of csr-1'));
  expect(api.asked).toHaveLength(2);
});
