import { BerthError } from '../../base/errors.js';

export const flexVolumeVerbs = [
  'init',
  'getvolumename',
  'attach',
  'waitforattach',
  'isattached',
  'detach',
  'mountdevice',
  'unmountdevice',
  'mount',
  'unmount',
  'expandvolume',
  'expandfs',
] as const;

export type FlexVolumeVerb = (typeof flexVolumeVerbs)[number];

/** How a call went wrong; the message of the error holds the driver's own words. */
export type FlexVolumeEnd =
  /** The driver answered `Failure`. */
  | { readonly code: 'failed' }
  /** The driver answered `Not supported`, now or earlier. */
  | { readonly code: 'not-supported' }
  /** It ended, but what it printed is not an answer. */
  | { readonly code: 'garbled' }
  /** It ended with an error or by a signal, without an answer. */
  | { readonly code: 'crashed'; readonly exitCode: number | null }
  | { readonly code: 'timed-out'; readonly afterMs: number }
  | { readonly code: 'output-too-large'; readonly limitBytes: number }
  /** There is no such driver, or it cannot be executed; nothing ran. */
  | { readonly code: 'not-installed' };

export type FlexVolumeFailure = FlexVolumeEnd & {
  readonly driver: string;
  readonly verb: FlexVolumeVerb;
  /**
   * `uncertain`: the driver may have done the deed all the same (it was killed, or nobody understands its answer). What
   * was mounted or attached must be taken for mounted and be undone before it is forgotten.
   */
  readonly certainty: 'final' | 'uncertain';
};

export class FlexVolumeError extends BerthError<FlexVolumeFailure> {}

export function flexVolumeError(
  driver: string,
  verb: FlexVolumeVerb,
  end: FlexVolumeEnd,
  words: string,
): FlexVolumeError {
  return new FlexVolumeError(`call ${verb} of FlexVolume driver ${driver}: ${words}`, {
    ...end,
    driver,
    verb,
    certainty: certaintyOf(end),
  });
}

function certaintyOf(end: FlexVolumeEnd): 'final' | 'uncertain' {
  switch (end.code) {
    case 'failed':
    case 'not-supported':
    case 'not-installed':
      return 'final';
    case 'garbled':
    case 'crashed':
    case 'timed-out':
    case 'output-too-large':
      return 'uncertain';
  }
}
