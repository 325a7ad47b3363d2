import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readlink, rename, rm, symlink, unlink } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../../base/atomic-file.js';

/** A certificate with its key, and from when to when it counts. */
export interface HeldCertificate {
  /** Chain and key in one PEM, as on disk. */
  readonly pem: string;
  readonly certificate: string;
  readonly key: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly leaf: X509Certificate;
}

/**
 * Certificates of one purpose in the kubelet's layout: `NAME-<time>.pem` with chain and key, and `NAME-current.pem`, a symlink to the
 * newest. One that was replaced is removed; the current one is never half written.
 */
export class CertificateStore {
  readonly #dir: string;
  readonly #name: string;

  constructor(dir: string, name: string) {
    this.#dir = dir;
    this.#name = name;
  }

  get currentPath(): string {
    return join(this.#dir, `${this.#name}-current.pem`);
  }

  /** Undefined when there is none that can be read. */
  async read(): Promise<HeldCertificate | undefined> {
    const pem = await readIfPresent(this.currentPath);
    return pem === undefined ? undefined : parseHeld(pem);
  }

  async write(certificate: string, key: string, now: number): Promise<HeldCertificate> {
    const pem = `${certificate.trim()}\n${key.trim()}\n`;
    const held = parseHeld(pem);
    if (!held) throw new Error(`store certificate ${this.#name}: it and its key do not belong together`);
    await mkdir(this.#dir, { recursive: true, mode: 0o750 });
    const stamp = new Date(now).toISOString().slice(0, 19).replaceAll(':', '-').replace('T', '-');
    const file = `${this.#name}-${stamp}-${randomBytes(2).toString('hex')}.pem`;
    await writeFileAtomic(join(this.#dir, file), pem);
    const before = await readlink(this.currentPath).catch(() => undefined);
    const temporary = `${this.currentPath}.tmp-${randomBytes(4).toString('hex')}`;
    await symlink(join(this.#dir, file), temporary);
    try {
      await rename(temporary, this.currentPath);
    } catch (err) {
      await unlink(temporary);
      throw err;
    }
    if (before !== undefined && before.includes(`${this.#name}-`) && !before.endsWith(file))
      await rm(before, { force: true });
    return held;
  }
}

/** Undefined when it is no certificate with its key. */
export function parseHeld(pem: string): HeldCertificate | undefined {
  const blocks = pem.match(/-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g) ?? [];
  const certificates = blocks.filter((block) => block.startsWith('-----BEGIN CERTIFICATE-----'));
  const key = blocks.find((block) => block.includes('PRIVATE KEY'));
  if (certificates.length === 0 || key === undefined) return undefined;
  try {
    const leaf = new X509Certificate(certificates[0] as string);
    if (!leaf.checkPrivateKey(createPrivateKey(key))) return undefined;
    return {
      pem,
      certificate: `${certificates.join('\n')}\n`,
      key: `${key}\n`,
      notBefore: Date.parse(leaf.validFrom),
      notAfter: Date.parse(leaf.validTo),
      leaf,
    };
  } catch {
    return undefined;
  }
}
