import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { CriError, criError, type CriCode } from '../contract/cri-error.js';
import { criErrorFromWire, wireErrorFromCri, type FailedCall } from './grpc-status.js';

const call = (verb: string): FailedCall => ({
  verb,
  object: 'container c',
  endpoint: 'unix:///run/x.sock',
  waitedMs: 10_003,
});

function wireError(code: status, details: string): Error {
  return Object.assign(new Error(`${code}: ${details}`), { code, details });
}

test.each<CriCode>([
  'not-found',
  'already-exists',
  'invalid-argument',
  'failed-precondition',
  'resource-exhausted',
  'permission-denied',
  'unimplemented',
  'unavailable',
  'deadline-exceeded',
  'cancelled',
  'aborted',
  'internal',
  'unknown',
])('%s survives the wire', (code) => {
  const { code: wire, details } = wireErrorFromCri(criError(code, 'stop container c: no'));
  expect(criErrorFromWire(call('StopContainer'), wireError(wire, details))).toMatchObject({
    failure: { code },
    message: 'StopContainer: stop container c: no',
  });
});

test('codes without a meaning of their own in CRI', () => {
  expect(criErrorFromWire(call('X'), wireError(status.OUT_OF_RANGE, '')).failure.code).toBe('invalid-argument');
  expect(criErrorFromWire(call('X'), wireError(status.UNAUTHENTICATED, '')).failure.code).toBe('permission-denied');
  expect(criErrorFromWire(call('X'), new Error('something else')).failure.code).toBe('internal');
});

test.each([
  [
    'No connection established. Last error: Error: connect ENOENT /run/x.sock. Resolution note: ',
    'connect ENOENT /run/x.sock',
  ],
  ['No connection established. Last error: null. Resolution note: none yet', 'null (none yet)'],
  ['Connection dropped', 'Connection dropped'],
  ['context deadline exceeded', 'context deadline exceeded'],
])('the words of the library say why there is no answer: %s', (details, words) => {
  const failure = criErrorFromWire(call('Status'), wireError(status.UNAVAILABLE, details));
  expect(failure).toMatchObject({ message: `Status: ${words}`, failure: { code: 'unavailable' } });
});

test.each([
  'Deadline exceeded after 10.003s,metadata filters: 0.001s,remote_addr=/run/x.sock',
  'Deadline exceeded',
  'context deadline exceeded',
])('a deadline that ran out: of what, how long, where to look, whichever end says so (%s)', (details) => {
  expect(criErrorFromWire(call('StartContainer'), wireError(status.DEADLINE_EXCEEDED, details))).toMatchObject({
    failure: { code: 'deadline-exceeded' },
    message:
      'StartContainer of container c: no answer within 10.0 s from unix:///run/x.sock, which hangs or is overloaded: ' +
      'its log says at what; runtimeRequestTimeout is how long a call may take',
  });
});

test('a time limit of the command itself is told in the words of the runtime', () => {
  const details = 'failed to exec in container: timeout 1s exceeded: context deadline exceeded';
  const failure = criErrorFromWire(call('ExecSync'), wireError(status.DEADLINE_EXCEEDED, details));
  expect(failure).toMatchObject({ message: `ExecSync: ${details}`, failure: { code: 'deadline-exceeded' } });
});

test('a name that is taken is recognised by its words, whatever the code', () => {
  const details = 'failed to reserve container name "a_b": name "a_b" is reserved for "0123"';
  for (const code of [status.UNKNOWN, status.UNAVAILABLE]) {
    expect(criErrorFromWire(call('CreateContainer'), wireError(code, details)).failure.code).toBe('already-exists');
  }
});

test('what is not there is recognised by the words of CRI-O, where it gives no code', () => {
  const details = 'specified sandbox not found: ff: PodSandbox with ID starting with ff not found: ID does not exist';
  expect(criErrorFromWire(call('CreateContainer'), wireError(status.UNKNOWN, details)).failure.code).toBe('not-found');
  const other = wireError(status.UNKNOWN, 'exec: file not found: ID does not exist');
  expect(criErrorFromWire(call('ExecSync'), other).failure.code).toBe('unknown');
});

test('the reason of a pull travels as a prefix, once', () => {
  const err = new CriError('pull image x: no route', { code: 'unavailable', pullReason: 'RegistryUnavailable' });
  const wire = wireErrorFromCri(err);
  expect(wire.details).toBe('RegistryUnavailable: pull image x: no route');
  const back = criErrorFromWire(call('PullImage'), wireError(wire.code, wire.details));
  expect(back.failure).toEqual({ code: 'unavailable', pullReason: 'RegistryUnavailable' });
});
