import { BerthError } from '../base/errors.js';

export type CniVerb = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** Everything that can go wrong, as callers branch on it. The message of the error keeps the plugin's own words. */
export type CniFailure =
  /** No network is configured, or none of that name. Goes away when a configuration file appears. */
  | { readonly code: 'no-network'; readonly network?: string | undefined }
  /** A configuration cannot be used: not JSON, a wrong type, a missing key, no plugin. */
  | { readonly code: 'invalid-config'; readonly file?: string | undefined }
  /** The caller asked for something the protocol cannot carry. A repeated call fails the same way. */
  | { readonly code: 'invalid-request'; readonly field: string }
  /** The namespace to attach is not there. */
  | { readonly code: 'no-namespace'; readonly netns: string }
  /** No program of that name in any of the folders. */
  | { readonly code: 'not-found'; readonly plugin: string; readonly searched: readonly string[] }
  /** The program is there and the kernel would not start it (no execute bit, wrong machine, busy). */
  | { readonly code: 'not-started'; readonly plugin: string; readonly errno: string }
  /** The plugin answered with an error of the protocol. Code 11 asks to try again later. */
  | {
      readonly code: 'refused';
      readonly plugin: string;
      readonly verb: CniVerb;
      readonly cniCode: number;
      readonly msg: string;
      readonly details: string;
    }
  /** No version of the specification that the configuration allows is one the plugin speaks. */
  | {
      readonly code: 'unsupported-version';
      readonly plugin: string;
      readonly wanted: readonly string[];
      readonly supported: readonly string[];
    }
  /** STATUS said that the plugin cannot serve ADD; `limited`: running containers may have lost connectivity too. */
  | { readonly code: 'not-ready'; readonly plugin: string; readonly limited: boolean }
  /** It failed without an answer of the protocol: an exit code, a signal, more output than is allowed. */
  | { readonly code: 'crashed'; readonly plugin: string; readonly verb: CniVerb; readonly exitCode: number | null }
  | { readonly code: 'timed-out'; readonly plugin: string; readonly verb: CniVerb; readonly afterMs: number }
  /** It succeeded and printed something that is not the answer the protocol asks for. */
  | { readonly code: 'garbled'; readonly plugin: string; readonly verb: CniVerb }
  /** The record of the attachment could not be written or read; nothing was asked of a plugin. */
  | { readonly code: 'no-record'; readonly errno?: string | undefined };

/** The plugin's own code for "a transient condition, ask again". */
export const cniTryAgainLater = 11;

export class CniError extends BerthError<CniFailure> {}
