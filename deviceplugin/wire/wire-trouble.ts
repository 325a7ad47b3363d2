import type { WireError } from '../../proto/wire/index.js';

/** Where a failed call leads us. */
export type WireTrouble =
  /** The plugin said no, in its own words. */
  | 'refused'
  | 'unimplemented'
  | 'timed-out'
  | 'unreachable'
  /** What came back is no message of this protocol. */
  | 'garbage';

/** For plugins of devices every code but a few means "the plugin said no". */
export function wireTrouble({ failure: { code, streamBroken, garbled } }: WireError): WireTrouble {
  if (garbled) return 'garbage';
  if (streamBroken) return 'unreachable';
  switch (code) {
    case 'deadline-exceeded':
      return 'timed-out';
    case 'unimplemented':
      return 'unimplemented';
    case 'unavailable':
    case 'cancelled':
      return 'unreachable';
    default:
      return 'refused';
  }
}
