import { describeEnd, type ProgramEnd, type ProgramResult } from '../../base/run-program.js';
import { excerpt, parseDriverAnswer, type DriverAnswer } from './driver-answer.js';
import { flexVolumeError, type FlexVolumeEnd, type FlexVolumeVerb } from './failure.js';

/**
 * What a call came to: the driver's answer when it is `Success` of a program that ended well, else a thrown
 * `FlexVolumeError`. A driver that ends with an error and still answers is taken at its word (`Failure`, `Not supported`).
 */
export function judge(
  driver: string,
  verb: FlexVolumeVerb,
  result: ProgramResult,
  mask: (text: string) => string,
): DriverAnswer {
  const { end } = result;
  if (end.kind !== 'exited') throw flexVolumeError(driver, verb, failureOf(end), mask(wordsOf(result)));
  const stdout = result.stdout.toString('utf8');
  // The kubelet reads both streams as one: a driver that answers on standard error works there, so it works here.
  const answer = parseDriverAnswer(stdout.trim() === '' ? result.stderr : stdout);
  if (typeof answer === 'string') {
    const failed = end.code !== 0;
    throw flexVolumeError(
      driver,
      verb,
      failed ? { code: 'crashed', exitCode: end.code } : { code: 'garbled' },
      mask(failed ? describeEnd(result) : withStderr(answer, stdout, result.stderr)),
    );
  }
  const said = mask(answer.message === '' ? 'it gave no reason' : answer.message);
  if (answer.status === 'not-supported')
    throw flexVolumeError(driver, verb, { code: 'not-supported' }, 'Not supported');
  if (answer.status === 'failure') throw flexVolumeError(driver, verb, { code: 'failed' }, said);
  if (end.code !== 0) {
    const words = `it answered Success but ${describeEnd(result)}`;
    throw flexVolumeError(driver, verb, { code: 'crashed', exitCode: end.code }, mask(words));
  }
  return answer;
}

function failureOf(end: Exclude<ProgramEnd, { kind: 'exited' }>): FlexVolumeEnd {
  switch (end.kind) {
    case 'signalled':
      return { code: 'crashed', exitCode: null };
    case 'timed-out':
      return { code: 'timed-out', afterMs: end.afterMs };
    case 'output-too-large':
      return { code: 'output-too-large', limitBytes: end.limitBytes };
    case 'not-started':
      return { code: 'not-installed' };
  }
}

function wordsOf(result: ProgramResult): string {
  // It was there a moment ago: what is missing is the program its first line names.
  if (result.end.kind === 'not-started' && result.end.errno === 'ENOENT') {
    return 'it could not be started: the interpreter its first line names does not exist';
  }
  if (result.end.kind === 'output-too-large')
    return `it printed more than ${result.end.limitBytes} bytes and was killed`;
  return describeEnd(result);
}

function withStderr(reason: string, stdout: string, stderr: string): string {
  return stdout.trim() === '' || stderr.trim() === '' ? reason : `${reason}; on standard error: ${excerpt(stderr)}`;
}
