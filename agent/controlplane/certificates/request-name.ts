import { createHash } from 'node:crypto';
import { keyObject, publicKeyInfo, type Subject } from './x509-parts.js';

/** The kubelet's name of the request with which a node first asks for its certificate: the same for the same key, subject and usages. */
export function requestName(
  keyPem: string,
  { commonName, organizations = [] }: Subject,
  usages: readonly string[],
): string {
  const hash = createHash('sha512-256');
  const parts = [
    publicKeyInfo(keyObject(keyPem)),
    ...[commonName, ...organizations, ...usages].map((each) => Buffer.from(each)),
  ];
  for (const part of parts) hash.update(`${part.toString('base64url')}|`);
  return `node-csr-${hash.digest('base64url')}`;
}
