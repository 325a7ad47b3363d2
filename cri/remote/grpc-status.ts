import { status } from '@grpc/grpc-js';
import { errorText } from '../../base/errors.js';
import { CriError, type CriCode } from '../contract/cri-error.js';

const toWire: { readonly [C in CriCode]: status } = {
  'not-found': status.NOT_FOUND,
  'already-exists': status.ALREADY_EXISTS,
  'invalid-argument': status.INVALID_ARGUMENT,
  'failed-precondition': status.FAILED_PRECONDITION,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  'permission-denied': status.PERMISSION_DENIED,
  unimplemented: status.UNIMPLEMENTED,
  unavailable: status.UNAVAILABLE,
  'deadline-exceeded': status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  aborted: status.ABORTED,
  internal: status.INTERNAL,
  unknown: status.UNKNOWN,
};

const fromWire: ReadonlyMap<number, CriCode> = new Map([
  ...(Object.entries(toWire) as Array<[CriCode, status]>).map(([code, wire]) => [wire, code] as const),
  [status.OUT_OF_RANGE, 'invalid-argument'],
  [status.DATA_LOSS, 'internal'],
  [status.UNAUTHENTICATED, 'permission-denied'],
]);

/** Prefixes by which the CRI's pull error carries a reason of its own (k8s.io/cri-api pkg/errors). */
const pullReasons = ['RegistryUnavailable', 'SignatureValidationFailed'] as const;

interface WireError {
  readonly code: number;
  readonly details: string;
}

function isWireError(err: unknown): err is WireError & Error {
  return err instanceof Error && 'code' in err && typeof err.code === 'number' && 'details' in err;
}

/** The call that failed. */
export interface FailedCall {
  readonly verb: string;
  /** What it was about: `container 0123456789abc`; empty for none. */
  readonly object: string;
  readonly endpoint: string;
  readonly waitedMs: number;
}

/** What a CRI server answered, in the words of the contract. */
export function criErrorFromWire(call: FailedCall, err: unknown): CriError {
  const { verb } = call;
  if (!isWireError(err)) return new CriError(`${verb}: ${errorText(err)}`, { code: 'internal' }, { cause: err });
  if (fromWire.get(err.code) === 'deadline-exceeded' && bareDeadline.test(err.details)) {
    return new CriError(noAnswer(call), { code: 'deadline-exceeded' });
  }
  const details = plainWords(err.details === '' ? err.message : err.details);
  const pullReason = pullReasons.find((prefix) => details.startsWith(prefix));
  return new CriError(`${verb}: ${details}`, { code: wireCode(err.code, details), ...(pullReason && { pullReason }) });
}

/** The gRPC library's frame around why nobody was reached: the errno with the path of the socket is what helps. */
const noConnection = /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note: ?(.*)$/;
/** Both ends keep the deadline of a call: of this library, with where it spent the time; of a server on it; of one in Go. */
const bareDeadline = /^((context )?deadline exceeded|Deadline exceeded after [\d.]+s,.*)$/i;

function noAnswer({ verb, object, endpoint, waitedMs }: FailedCall): string {
  const what = object === '' ? verb : `${verb} of ${object}`;
  const within = `no answer within ${(waitedMs / 1000).toFixed(1)} s from ${endpoint}`;
  return `${what}: ${within}, which hangs or is overloaded: its log says at what; runtimeRequestTimeout is how long a call may take`;
}

function plainWords(details: string): string {
  const [, reason, note = ''] = noConnection.exec(details) ?? [];
  if (reason === undefined) return details;
  return note === '' ? reason : `${reason} (${note})`;
}

/**
 * containerd and CRI-O have no code of their own for a second create of the same name (the first one's answer was lost, or it
 * is still at work), only these words.
 */
const reservedName = /name "[^"]*" is reserved for|name is reserved/;

/** Only some verbs of CRI-O say so by code. */
const noSuchId = / with ID starting with \S+ not found: ID does not exist$/;

function wireCode(code: number, details: string): CriCode {
  if (reservedName.test(details)) return 'already-exists';
  const found = fromWire.get(code) ?? 'unknown';
  return found === 'unknown' && noSuchId.test(details) ? 'not-found' : found;
}

/** What our server answers for a failure of the runtime behind it. */
export function wireErrorFromCri(err: unknown): { code: status; details: string } {
  if (!(err instanceof CriError)) return { code: status.UNKNOWN, details: errorText(err) };
  const { code, pullReason } = err.failure;
  const text = errorText(err);
  const details = pullReason === undefined || text.startsWith(pullReason) ? text : `${pullReason}: ${text}`;
  return { code: toWire[code], details };
}
