import { BerthError } from '../../base/errors.js';

export type CdiFailure =
  /** The file is no CDI specification; `message` says where. */
  | { readonly code: 'invalid-spec' }
  /** Nobody describes these devices, or two files of the same rank do. */
  | { readonly code: 'unresolved'; readonly devices: readonly string[] }
  /** A device node of the specification is not on this host, or is another kind of device there. */
  | { readonly code: 'bad-device-node'; readonly path: string };

export class CdiError extends BerthError<CdiFailure> {}
