/** The closed set of codes a failure union of a folder is built from; `code` is what callers branch on. */
export interface Failure {
  readonly code: string;
}

/**
 * The one error class of berth. The message reads "verb subject: reason"; code branches on `failure`, never on text.
 * Each folder declares its own union of failures and a subclass that fixes `F` to it.
 */
export class BerthError<F extends Failure = Failure> extends Error {
  readonly failure: F;

  constructor(message: string, failure: F, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.failure = failure;
  }
}

/** The words of anything thrown, with the causes behind it, for a person to read. */
export function errorText(err: unknown): string {
  if (!(err instanceof Error)) return String(err);
  const cause = err.cause === undefined ? '' : errorText(err.cause);
  return cause === '' || err.message.includes(cause) ? err.message : `${err.message}: ${cause}`;
}

/** The `errno` name (`ENOENT`, ...) of a Node system error, undefined for everything else. */
export function errnoOf(err: unknown): string | undefined {
  if (!(err instanceof Error) || !('code' in err)) return undefined;
  return typeof err.code === 'string' && err.code.startsWith('E') ? err.code : undefined;
}

/** For the `default` of a switch over a closed union: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`unreachable case: ${JSON.stringify(value)}`);
}
