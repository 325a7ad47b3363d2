import { generateKeyPair, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { bits, integer, objectId, sequence } from './der.js';
import { contextList, publicKeyInfo } from './x509-parts.js';

/** The words of a pod's `podCertificate.keyType`. */
export const podKeyTypes = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519'] as const;
export type PodKeyType = (typeof podKeyTypes)[number];

export interface KeyAndProof {
  /** PKCS #8. */
  readonly keyPem: string;
  /** A PKCS #10 request in DER that asks for nothing: whoever signed it has the key. */
  readonly request: Buffer;
}

interface Scheme {
  readonly make: () => Promise<{ privateKey: KeyObject }>;
  readonly algorithm: Buffer;
  /** Of the digest; null where the algorithm has one of its own. */
  readonly digest: string | null;
}

const generate = promisify(generateKeyPair);
/** DER of NULL, which RSA's algorithm carries. */
const none = Buffer.from([0x05, 0x00]);

const rsa = (modulusLength: number): Scheme => ({
  make: () => generate('rsa', { modulusLength }),
  algorithm: sequence(objectId('1.2.840.113549.1.1.11'), none),
  digest: 'sha256',
});

const ecdsa = (namedCurve: string, algorithm: string, digest: string): Scheme => ({
  make: () => generate('ec', { namedCurve }),
  algorithm: sequence(objectId(algorithm)),
  digest,
});

const schemes: { readonly [K in PodKeyType]: Scheme } = {
  RSA3072: rsa(3072),
  RSA4096: rsa(4096),
  ECDSAP256: ecdsa('P-256', '1.2.840.10045.4.3.2', 'sha256'),
  ECDSAP384: ecdsa('P-384', '1.2.840.10045.4.3.3', 'sha384'),
  ECDSAP521: ecdsa('P-521', '1.2.840.10045.4.3.4', 'sha512'),
  ED25519: { make: () => generate('ed25519'), algorithm: sequence(objectId('1.3.101.112')), digest: null },
};

export const isPodKeyType = (type: string): type is PodKeyType => Object.hasOwn(schemes, type);

/** A fresh key of a pod, and the proof that it is had. */
export async function makeKeyAndProof(type: PodKeyType): Promise<KeyAndProof> {
  const { make, algorithm, digest } = schemes[type];
  const { privateKey } = await make();
  const content = sequence(integer(Buffer.from([0])), sequence(), publicKeyInfo(privateKey), contextList(0));
  const request = sequence(content, algorithm, bits(sign(digest, content, privateKey)));
  return { keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, request };
}
