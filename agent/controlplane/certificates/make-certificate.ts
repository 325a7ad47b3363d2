import { createHash, randomBytes } from 'node:crypto';
import { bits, bool, implicit, integer, objectId, octets, sequence, time } from './der.js';
import {
  alternativeNames,
  certificatePem,
  contextList,
  distinguishedName,
  extension,
  keyObject,
  publicKeyInfo,
  signatureAlgorithm,
  signed,
  type AlternativeNames,
  type Subject,
} from './x509-parts.js';

export interface Issuer {
  readonly subject: Subject;
  readonly keyPem: string;
}

export interface CertificateOptions {
  readonly subject: Subject;
  readonly keyPem: string;
  /** Signs itself when absent. */
  readonly issuer?: Issuer | undefined;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly use: 'authority' | 'client' | 'server';
  readonly names?: AlternativeNames | undefined;
}

const extendedUse = { client: '1.3.6.1.5.5.7.3.2', server: '1.3.6.1.5.5.7.3.1' } as const;
/** keyCertSign and cRLSign; digitalSignature. Most significant bit first. */
const keyUse = { authority: bits(Buffer.from([0x06]), 1), leaf: bits(Buffer.from([0x80]), 7) } as const;

/** An X.509 certificate in PEM: the agent's own self-signed serving certificate, and authorities of throw-away clusters. */
export function makeCertificate(options: CertificateOptions): string {
  const key = keyObject(options.keyPem);
  const issuer = options.issuer ?? { subject: options.subject, keyPem: options.keyPem };
  const issuerKey = keyObject(issuer.keyPem);
  const publicKey = publicKeyInfo(key);
  const content = sequence(
    contextList(0, integer(Buffer.from([2]))),
    integer(serialNumber()),
    signatureAlgorithm,
    distinguishedName(issuer.subject),
    sequence(time(options.notBefore), time(options.notAfter)),
    distinguishedName(options.subject),
    publicKey,
    contextList(3, sequence(...extensions(options, publicKey, publicKeyInfo(issuerKey)))),
  );
  return certificatePem(signed(content, issuerKey));
}

function extensions({ use, names }: CertificateOptions, publicKey: Buffer, issuerKey: Buffer): Buffer[] {
  const authority = use === 'authority';
  return [
    extension('2.5.29.15', authority ? keyUse.authority : keyUse.leaf, bool(true)),
    extension('2.5.29.19', authority ? sequence(bool(true)) : sequence(), bool(true)),
    ...(authority ? [] : [extension('2.5.29.37', sequence(objectId(extendedUse[use])))]),
    extension('2.5.29.14', octets(keyId(publicKey))),
    extension('2.5.29.35', sequence(implicit(0, keyId(issuerKey)))),
    ...(names ? [alternativeNames(names)] : []),
  ];
}

const keyId = (publicKey: Buffer): Buffer => createHash('sha1').update(publicKey).digest();

/** Positive and 16 bytes long. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}
