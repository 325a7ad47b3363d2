import { integer, objectId, sequence, set } from './der.js';
import {
  alternativeNames,
  contextList,
  distinguishedName,
  keyObject,
  publicKeyInfo,
  requestPem,
  signed,
  type AlternativeNames,
  type Subject,
} from './x509-parts.js';

const extensionRequest = '1.2.840.113549.1.9.14';

/** A PKCS #10 request in PEM for the public half of `keyPem`. */
export function certificateRequest(keyPem: string, subject: Subject, names?: AlternativeNames): string {
  const key = keyObject(keyPem);
  const wanted = names !== undefined && names.dnsNames.length + names.addresses.length > 0;
  const attributes = wanted ? [sequence(objectId(extensionRequest), set(sequence(alternativeNames(names))))] : [];
  const content = sequence(
    integer(Buffer.from([0])),
    distinguishedName(subject),
    publicKeyInfo(key),
    contextList(0, ...attributes),
  );
  return requestPem(signed(content, key));
}
