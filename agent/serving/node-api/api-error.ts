import { BerthError } from '../../../base/errors.js';
import { problemText, type ManifestProblem } from '../../api/index.js';

/** Reasons as the Kubernetes API writes them, with the HTTP status each has. */
export const reasonStatus = {
  BadRequest: 400,
  NotFound: 404,
  MethodNotAllowed: 405,
  Conflict: 409,
  RequestEntityTooLarge: 413,
  Invalid: 422,
  UpgradeRequired: 426,
  InternalError: 500,
  NotImplemented: 501,
  ServiceUnavailable: 503,
} as const;

export type ApiReason = keyof typeof reasonStatus;

export class ApiError extends BerthError<{ code: ApiReason; problems: readonly ManifestProblem[] }> {
  constructor(code: ApiReason, message: string, problems: readonly ManifestProblem[] = []) {
    super(message, { code, problems });
  }
}

/** The body of every answer that is no success: a Kubernetes `Status`. */
export interface StatusBody {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly status: 'Failure';
  readonly reason: string;
  readonly message: string;
  readonly code: number;
  readonly details?: { readonly causes: readonly StatusCause[] } | undefined;
}

export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

export function statusBody(reason: ApiReason, message: string, problems: readonly ManifestProblem[] = []): StatusBody {
  const causes = problems.map((problem): StatusCause => ({
    reason: problem.code,
    message: problemText(problem),
    field: problem.path,
    line: problem.line,
    column: problem.column,
  }));
  return {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    reason,
    message,
    code: reasonStatus[reason],
    ...(causes.length > 0 ? { details: { causes } } : {}),
  };
}
