import { BerthError, errorText } from '../../../base/errors.js';
import { CriError } from '../../../cri/index.js';

/** An answer that is no success: what the client is told, and the status it is told with. */
export class HttpError extends BerthError<{ readonly code: 'http'; readonly status: number }> {
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message, { code: 'http', status });
    this.headers = headers;
  }
}

/** The one place where failures become HTTP; the statuses of the runtime's are the kubelet's. */
export function toHttpError(err: unknown): HttpError {
  if (err instanceof HttpError) return err;
  if (!(err instanceof CriError)) return new HttpError(500, errorText(err));
  if (err.failure.code === 'not-found') return new HttpError(404, err.message);
  if (err.failure.code === 'resource-exhausted') return new HttpError(429, err.message, { 'retry-after': '1' });
  return new HttpError(500, err.message);
}
