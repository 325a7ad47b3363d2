import { X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../../../base/atomic-file.js';
import { makeCertificate, makeKey } from '../../../controlplane/certificates/index.js';

export interface SelfSignedOptions {
  readonly certDir: string;
  readonly nodeName: string;
  readonly addresses: readonly string[];
  readonly now: number;
}

const yearMs = 365 * 24 * 3600 * 1000;
const hourMs = 3600 * 1000;

/** The certificate and its key, under the kubelet's names. */
export const selfSignedFiles = (certDir: string): readonly [string, string] => [
  join(certDir, 'kubelet.crt'),
  join(certDir, 'kubelet.key'),
];

/** The certificate that nobody vouches for, under the kubelet's names; kept until it expires. */
export async function selfSigned(options: SelfSignedOptions): Promise<{ cert: string; key: string }> {
  const { certDir, nodeName, addresses, now } = options;
  const [certPath, keyPath] = selfSignedFiles(certDir);
  const [cert, key] = await Promise.all([readIfPresent(certPath), readIfPresent(keyPath)]);
  if (cert !== undefined && key !== undefined && isCurrent(cert, now)) return { cert, key };
  const fresh = await makeKey();
  const ips = ['127.0.0.1', ...addresses].filter((address) => isIP(address) !== 0);
  const made = makeCertificate({
    subject: { commonName: `${nodeName}@${Math.floor(now / 1000)}` },
    keyPem: fresh,
    notBefore: now - hourMs,
    notAfter: now + yearMs,
    use: 'server',
    names: { dnsNames: [nodeName, 'localhost'], addresses: [...new Set(ips)] },
  });
  await mkdir(certDir, { recursive: true, mode: 0o755 });
  await writeFileAtomic(keyPath, fresh, { mode: 0o600 });
  await writeFileAtomic(certPath, made, { mode: 0o644 });
  return { cert: made, key: fresh };
}

function isCurrent(cert: string, now: number): boolean {
  try {
    return now < Date.parse(new X509Certificate(cert).validTo);
  } catch {
    return false;
  }
}
