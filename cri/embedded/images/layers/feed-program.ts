import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errnoOf } from '../../../../base/errors.js';
import { imageError } from '../image-error.js';

export interface FeedResult {
  readonly code: number | null;
  readonly stderr: string;
}

/** Bytes collected before they go into the pipe: headers of small files would cost a system call each. */
const batchBytes = 64 * 1024;
const maxStderr = 16 * 1024;

/**
 * Runs a program with a stream as its standard input (`runProgram` takes bytes only). Resolves with how it ended; rejects, after the
 * program is gone, when the stream fails or the signal aborts.
 */
export async function feedProgram(
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  input: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<FeedResult> {
  signal.throwIfAborted();
  const [program, ...args] = argv;
  const child = spawn(program, args, { env, stdio: ['pipe', 'ignore', 'pipe'], detached: true });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < maxStderr) stderr += chunk.toString('utf8');
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (err) => {
      reject(imageError('program-missing', `run ${program}: could not be started (${errnoOf(err) ?? 'unknown'})`, err));
    });
    child.once('close', (code) => resolve(code));
  });
  ended.catch(() => {}); // reported below; the pipeline may fail first
  const onAbort = (): void => killGroup(child);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await pipeline(input, inBatches, child.stdin, { signal });
    const code = await ended;
    signal.throwIfAborted();
    return { code, stderr };
  } catch (err) {
    // A program that stops reading says why on its standard error: that is the better reason.
    if (errnoOf(err) === 'EPIPE' || isClosedEarly(err)) {
      const code = await ended;
      signal.throwIfAborted();
      return { code: code ?? 1, stderr };
    }
    killGroup(child);
    await ended.catch(() => {});
    signal.throwIfAborted();
    throw err;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** With the children it may have; one that is gone is fine. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (err) {
    if (errnoOf(err) !== 'ESRCH') throw err;
  }
}

function isClosedEarly(err: unknown): boolean {
  return err instanceof Error && 'code' in err && err.code === 'ERR_STREAM_PREMATURE_CLOSE';
}

async function* inBatches(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    waiting.push(piece);
    size += piece.length;
    if (size < batchBytes) continue;
    yield Buffer.concat(waiting, size);
    waiting = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(waiting, size);
}

/** A program between two streams: `zstd -dc` for layers Node 20 cannot decompress itself. */
export async function* throughProgram(
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  input: Readable,
): AsyncGenerator<Buffer> {
  const [program, ...args] = argv;
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < maxStderr) stderr += chunk.toString('utf8');
  });
  const started = once(child, 'spawn').catch((err: unknown) => {
    throw imageError('program-missing', `run ${program}: could not be started (${errnoOf(err) ?? 'unknown'})`, err);
  });
  const closed = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  const fed = pipeline(input, child.stdin).catch(() => {}); // how the program ends says it all
  try {
    await started;
    for await (const piece of child.stdout) yield piece as Buffer;
    await fed;
    const code = await closed;
    if (code !== 0) throw imageError('layer-invalid', `run ${program}: exited with ${String(code)}: ${stderr.trim()}`);
  } finally {
    input.destroy();
    killGroup(child);
  }
}
