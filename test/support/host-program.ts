import { describeEnd, programSucceeded, runProgram, type ProgramResult } from '../../base/run-program.js';

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/** Runs a program of the machine for a test; returns its standard output, rejects with its words when it fails. */
export async function hostProgram(argv: readonly [string, ...string[]], timeoutMs = 60_000): Promise<string> {
  const result = await tryHostProgram(argv, timeoutMs);
  if (!programSucceeded(result)) throw new Error(`run ${argv.join(' ')}: ${describeEnd(result)}`);
  return result.stdout.toString('utf8');
}

/** Like `hostProgram`, for a program that may fail. */
export async function tryHostProgram(argv: readonly [string, ...string[]], timeoutMs = 60_000): Promise<ProgramResult> {
  return await runProgram({ argv, env, timeoutMs, maxOutputBytes: 16 * 1024 * 1024 }, new AbortController().signal);
}
