import { BerthError } from '../../base/errors.js';

export type DraVerb = 'NodePrepareResources' | 'NodeUnprepareResources';

export type DraFailure =
  /** The claim of a template was not made yet by the control plane: try again. */
  | { readonly code: 'claim-not-created'; readonly podClaim: string }
  /** The claim was made for another pod. */
  | { readonly code: 'not-owned'; readonly claim: string }
  /** The scheduler has not put this pod on the claim's list. */
  | { readonly code: 'not-reserved'; readonly claim: string }
  | { readonly code: 'not-allocated'; readonly claim: string }
  /** A claim of the same name, and not the same claim, is still prepared for an earlier pod. */
  | { readonly code: 'claim-replaced'; readonly claim: string }
  /** No driver of this name is registered now. */
  | { readonly code: 'driver-absent'; readonly driver: string }
  /** The driver answered with an error, for the call or for one claim; `words` are its own. */
  | { readonly code: 'driver-refused'; readonly driver: string; readonly verb: DraVerb; readonly words: string }
  | { readonly code: 'driver-unreachable'; readonly driver: string; readonly verb: DraVerb }
  | { readonly code: 'driver-timed-out'; readonly driver: string; readonly verb: DraVerb; readonly afterMs: number }
  | { readonly code: 'bad-answer'; readonly driver: string; readonly verb: DraVerb }
  /** Containers ask for a claim that was not prepared for their pod. */
  | { readonly code: 'not-prepared'; readonly claim: string }
  | { readonly code: 'checkpoint'; readonly path: string }
  | { readonly code: 'invalid-registration' };

/** Dynamic resource allocation. The message goes into the event `FailedPrepareDynamicResources`. */
export class DraError extends BerthError<DraFailure> {}
