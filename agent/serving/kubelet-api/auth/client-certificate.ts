import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { UserInfo } from './user-info.js';

export type ClientCertificate =
  | { readonly kind: 'none' }
  /** Signed by nobody who counts, expired, or without a name. */
  | { readonly kind: 'bad'; readonly reason: string }
  | { readonly kind: 'user'; readonly user: UserInfo };

/** Who the other end of a connection proved to be when it was made; `now` decides whether that still holds. */
export function clientCertificate(socket: TLSSocket, now: number): ClientCertificate {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return { kind: 'none' };
  if (!socket.authorized) return { kind: 'bad', reason: String(socket.authorizationError) };
  if (now > Date.parse(certificate.validTo) || now < Date.parse(certificate.validFrom))
    return { kind: 'bad', reason: 'CERT_HAS_EXPIRED' };
  // The parsed form: the printed subject of a certificate can be made to look like another one's.
  const subject = socket.getPeerCertificate().subject as Readonly<Record<string, string | readonly string[]>>;
  const commonName = all(subject['CN']).at(-1) ?? '';
  if (commonName === '') return { kind: 'bad', reason: 'the certificate names nobody' };
  const id = createHash('sha256').update(certificate.raw).digest('hex');
  const extra = { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${id}`] };
  return { kind: 'user', user: { username: commonName, groups: all(subject['O']), extra } };
}

function all(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}
