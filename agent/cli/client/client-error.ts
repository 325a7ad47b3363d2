import { BerthError } from '../../../base/errors.js';

export type ClientFailure =
  /** Nobody answers on the socket. */
  | { readonly code: 'no-agent' }
  /** The agent said no. */
  | { readonly code: 'refused'; readonly status: number; readonly reason: string }
  /** The connection broke, or what came was not understood. */
  | { readonly code: 'broken' }
  /** The command line asks for something that does not exist. */
  | { readonly code: 'usage' };

export class ClientError extends BerthError<ClientFailure> {}

export const usage = (message: string): ClientError => new ClientError(message, { code: 'usage' });
