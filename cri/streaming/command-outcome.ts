import { StreamingError } from './streaming-error.js';

/** How an exec or attach ended, as the error stream of the v4 and v5 protocols reports it. */
export type CommandOutcome =
  { readonly kind: 'exited'; readonly exitCode: number } | { readonly kind: 'failed'; readonly message: string };

/** A `metav1.Status` in JSON. */
export function encodeOutcome(outcome: CommandOutcome): string {
  if (outcome.kind === 'failed') {
    return JSON.stringify({
      metadata: {},
      status: 'Failure',
      message: outcome.message,
      reason: 'InternalError',
      details: { causes: [{ message: outcome.message }] },
      code: 500,
    });
  }
  if (outcome.exitCode === 0) return JSON.stringify({ metadata: {}, status: 'Success' });
  return JSON.stringify({
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${outcome.exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(outcome.exitCode) }] },
  });
}

/** The plain text of the protocols before v4: nothing at all for success. */
export function encodeOutcomeText(outcome: CommandOutcome): string {
  if (outcome.kind === 'failed') return outcome.message;
  return outcome.exitCode === 0 ? '' : `command terminated with exit code ${outcome.exitCode}`;
}

export function decodeOutcome(text: string): CommandOutcome {
  const status = parse(text);
  if (status.status === 'Success') return { kind: 'exited', exitCode: 0 };
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  if (status.reason === 'NonZeroExitCode' && cause !== undefined) {
    return { kind: 'exited', exitCode: Number(cause.message) };
  }
  return { kind: 'failed', message: status.message ?? text };
}

interface Status {
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: ReadonlyArray<{ readonly reason?: string; readonly message?: string }> };
}

function parse(text: string): Status {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // said below
  }
  throw new StreamingError(`read the outcome of a command: it is not a Status: ${text.slice(0, 200)}`, {
    code: 'protocol',
  });
}
