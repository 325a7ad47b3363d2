import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeEnd, programSucceeded, runProgram, type ProgramOptions } from './run-program.js';

const never = new AbortController().signal;
const env = { PATH: '/usr/bin:/bin' };
const sh = (script: string, more: Partial<ProgramOptions> = {}): ProgramOptions => ({
  argv: ['/bin/sh', '-c', script],
  env,
  timeoutMs: 10_000,
  ...more,
});

/** `gone`, or the kernel's letter for its state: a killed orphan stays a zombie until process 1 looks. */
function stateOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? '';
  } catch {
    return 'gone';
  }
}

test('hands over input, output, errors and the exit code', async () => {
  const result = await runProgram(sh('cat; echo oops >&2; exit 3', { stdin: 'hello' }), never);
  expect(result.end).toEqual({ kind: 'exited', code: 3 });
  expect(result.stdout.toString()).toBe('hello');
  expect(result.stderr).toBe('oops\n');
  expect(programSucceeded(result)).toBe(false);
  expect(describeEnd(result)).toBe('exited with 3: oops');
});

test('gives the environment in full and inherits nothing', async () => {
  const result = await runProgram({ argv: ['/usr/bin/env'], env: { ONLY: 'this' }, timeoutMs: 5000 }, never);
  expect(result.stdout.toString()).toBe('ONLY=this\n');
});

test('collects file descriptor 3', async () => {
  const result = await runProgram(sh('echo {} >&3', { readFd3: true }), never);
  expect(result.fd3.toString()).toBe('{}\n');
});

test('a program that does not read its input is no fault', async () => {
  const result = await runProgram(sh('exit 0', { stdin: Buffer.alloc(1 << 20) }), never);
  expect(result.end).toEqual({ kind: 'exited', code: 0 });
});

test('a time-out ends the whole group, by force if need be', async () => {
  const result = await runProgram(
    sh('trap "" TERM; sleep 100 & echo $!; wait; wait', { timeoutMs: 100, killAfterMs: 100 }),
    never,
  );
  expect(result.end).toEqual({ kind: 'timed-out', afterMs: 100 });
  await expect.poll(() => stateOf(Number(result.stdout.toString()))).toMatch(/^(gone|Z)$/);
});

test('output beyond the limit ends the program and keeps what fits', async () => {
  const result = await runProgram(sh('yes', { maxOutputBytes: 1000 }), never);
  expect(result.end).toEqual({ kind: 'output-too-large', limitBytes: 1000 });
  expect(result.stdout).toHaveLength(1000);
});

test('a program that is not there is an outcome', async () => {
  const result = await runProgram({ argv: ['/nowhere/at/all'], env, timeoutMs: 1000 }, never);
  expect(result.end).toEqual({ kind: 'not-started', errno: 'ENOENT' });
});

test('does not wait for a daemon that keeps the pipes', async () => {
  const result = await runProgram(sh('sleep 600 & echo $!'), never);
  expect(result.end).toEqual({ kind: 'exited', code: 0 });
  process.kill(Number(result.stdout.toString()), 'SIGKILL');
});

test('what was printed in time is read, also by a process that stood still', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-run-'));
  const [go, said] = [join(folder, 'go'), join(folder, 'said')];
  // A child of the program that speaks when the program's end is known here.
  const child = `( while kill -0 $$ 2>/dev/null; do :; done; echo gone >&2; while [ ! -e ${go} ]; do :; done; echo late; : >${said} ) &`;
  const standStill = (): void => {
    writeFileSync(go, '');
    const until = performance.now() + 400;
    while (!existsSync(said) || performance.now() < until);
  };
  const result = await runProgram(sh(child, { onStderr: standStill }), never);
  rmSync(folder, { recursive: true });
  expect(result.stdout.toString()).toBe('late\n');
});

test('an abort rejects with its reason after the program is gone', async () => {
  const abort = new AbortController();
  const running = runProgram(
    sh('echo started >&2; exec sleep 100', { onStderr: () => abort.abort(new Error('enough')) }),
    abort.signal,
  );
  await expect(running).rejects.toThrow('enough');
});
