import { errnoOf, errorText } from '../../base/errors.js';

/** What keeps a connection from being made, in the words that a kubelet's events have for it. */
const connectWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ETIMEDOUT: 'connection timed out',
  EACCES: 'permission denied',
};

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export const addressText = ({ host, port }: Address): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Why no TCP connection came about. */
export function dialText(err: unknown, to: Address): string {
  const words = connectWords[errnoOf(err) ?? ''];
  return `dial tcp ${addressText(to)}: ${words === undefined ? errorText(err) : `connect: ${words}`}`;
}

/** Why a request got no answer. */
export function requestText(err: unknown, to: Address): string {
  const code = errnoOf(err) ?? '';
  if (code in connectWords) return dialText(err, to);
  // The server closed a connection on which it had not answered.
  if (code === 'ECONNRESET') return errorText(err).includes('hang up') ? 'EOF' : 'read: connection reset by peer';
  return errorText(err);
}
