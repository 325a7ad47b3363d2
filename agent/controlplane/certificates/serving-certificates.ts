import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../../base/atomic-file.js';
import { parseHeld, type HeldCertificate } from './certificate-store.js';
import { makeCertificate } from './make-certificate.js';
import { makeKey, type AlternativeNames } from './x509-parts.js';

/** What the node's own API serves with, now and after each change. A listener refuses connections while there is none. */
export interface ServingCertificates extends AsyncDisposable {
  readonly current: HeldCertificate | undefined;
  onChange(listener: (held: HeldCertificate) => void): Disposable;
}

const yearMs = 365 * 24 * 3600 * 1000;
const recheckMs = 60_000;

/** A certificate in two files that someone else renews: read again when they change. */
export async function servingFromFiles(certFile: string, keyFile: string): Promise<ServingCertificates> {
  const listeners = new Set<(held: HeldCertificate) => void>();
  let current: HeldCertificate | undefined;
  let identity = '';
  const look = async (): Promise<void> => {
    const stats = await Promise.all([certFile, keyFile].map((path) => stat(path).catch(() => undefined)));
    const now = stats.map((each) => `${each?.mtimeMs}/${each?.ino}`).join(' ');
    if (now === identity) return;
    const [cert = '', key = ''] = await Promise.all([readIfPresent(certFile), readIfPresent(keyFile)]);
    const held = parseHeld(`${cert}\n${key}`);
    // Half of a renewal: the other file is still the old one.
    if (!held) return;
    identity = now;
    current = held;
    for (const listener of listeners) listener(held);
  };
  await look();
  const timer = setInterval(() => void look().catch(() => {}), recheckMs);
  timer.unref();
  return {
    get current() {
      return current;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    [Symbol.asyncDispose]: () => {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}

/** `kubelet.crt` and `kubelet.key` of the certificate folder, made when they are not there or have expired. */
export async function selfSignedServing(
  dir: string,
  names: AlternativeNames,
  now: number,
): Promise<ServingCertificates> {
  const certFile = join(dir, 'kubelet.crt');
  const keyFile = join(dir, 'kubelet.key');
  const [cert, key] = await Promise.all([readIfPresent(certFile), readIfPresent(keyFile)]);
  const held = cert === undefined || key === undefined ? undefined : parseHeld(`${cert}\n${key}`);
  if (!held || held.notAfter < now) {
    const keyPem = await makeKey();
    const subject = { commonName: `${names.dnsNames[0] ?? 'node'}@${Math.floor(now / 1000)}` };
    const made = makeCertificate({
      subject,
      keyPem,
      notBefore: now - 3600_000,
      notAfter: now + yearMs,
      use: 'server',
      names,
    });
    await mkdir(dir, { recursive: true, mode: 0o750 });
    await writeFileAtomic(keyFile, keyPem);
    await writeFileAtomic(certFile, made, { mode: 0o644 });
  }
  return await servingFromFiles(certFile, keyFile);
}
