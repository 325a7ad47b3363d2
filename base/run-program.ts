import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { errnoOf } from './errors.js';
import { onAbort } from './signals.js';

export interface ProgramOptions {
  /** Program and arguments; never a shell. */
  readonly argv: readonly [string, ...string[]];
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string | Uint8Array;
  /** Killed after this long: SIGTERM to its process group, SIGKILL `killAfterMs` later. */
  readonly timeoutMs: number;
  readonly killAfterMs?: number;
  /** Most bytes kept of each stream; one that prints more is killed. Default 1 MiB. */
  readonly maxOutputBytes?: number;
  /** For programs that answer by how they end: a pipe less to make and to close. */
  readonly discardStdout?: boolean;
  /** Opens a pipe as file descriptor 3 of the child and collects what it writes there (conmon's sync pipe). */
  readonly readFd3?: boolean;
  /** Called with each piece of standard error as it comes, for programs that report progress. */
  readonly onStderr?: (chunk: string) => void;
}

/** How a program ended; the first reason wins. */
export type ProgramEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'timed-out'; readonly afterMs: number }
  | { readonly kind: 'output-too-large'; readonly limitBytes: number }
  | { readonly kind: 'not-started'; readonly errno: string };

export interface ProgramResult {
  readonly argv: readonly string[];
  readonly end: ProgramEnd;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** What came on file descriptor 3; empty unless `readFd3`. */
  readonly fd3: Buffer;
  readonly durationMs: number;
}

/** Starts programs; a dependency, so that tests can wrap it with faults and the recorder can see every call. */
export type RunProgram = (options: ProgramOptions, signal: AbortSignal) => Promise<ProgramResult>;

export const programSucceeded = (result: ProgramResult): boolean =>
  result.end.kind === 'exited' && result.end.code === 0;

/** "exited with 3", "killed by SIGKILL", ... with the last words it printed, for an error message. */
export function describeEnd(result: ProgramResult): string {
  const words = result.stderr.trim() || result.stdout.toString('utf8').trim();
  const tail = words.length > 2000 ? `...${words.slice(-2000)}` : words;
  return tail === '' ? endText(result.end) : `${endText(result.end)}: ${tail}`;
}

function endText(end: ProgramEnd): string {
  switch (end.kind) {
    case 'exited':
      return `exited with ${end.code}`;
    case 'signalled':
      return `killed by ${end.signal}`;
    case 'timed-out':
      return `no end within ${end.afterMs} ms, killed`;
    case 'output-too-large':
      return `printed more than ${end.limitBytes} bytes, killed`;
    case 'not-started':
      return `could not be started (${end.errno})`;
  }
}

/** Keeps at most `limit` bytes; says when more came. */
class BoundedBuffer {
  readonly #chunks: Buffer[] = [];
  readonly #limit: number;
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False once the limit was crossed; what fits is kept. */
  add(chunk: Buffer): boolean {
    const room = this.#limit - this.#size;
    this.#chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
    this.#size += Math.min(chunk.length, room);
    return chunk.length <= room;
  }

  get bytes(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
  }
}

/** A child that passed its pipes on to a daemon would keep them open for ever: how long to read on after its exit. */
const drainAfterExitMs = 250;

/**
 * Runs a program to its end in a process group of its own. Resolves with how it ended, whatever that was; rejects only with
 * the signal's reason, after the program is gone.
 */
export const runProgram: RunProgram = (options, signal) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const started = performance.now();
    const limit = options.maxOutputBytes ?? 1024 * 1024;
    const out = new BoundedBuffer(limit);
    const err = new BoundedBuffer(limit);
    const fd3 = new BoundedBuffer(limit);
    let first: ProgramEnd | undefined;
    let killTimer: NodeJS.Timeout | undefined;
    let drainTimer: NodeJS.Timeout | undefined;
    let settled = false;

    const finish = (end: ProgramEnd): void => {
      if (settled) return;
      settled = true;
      clearTimeout(deadline);
      clearTimeout(killTimer);
      clearTimeout(drainTimer);
      unlink();
      if (signal.aborted) return reject(signal.reason as Error);
      resolve({
        argv: options.argv,
        end: first ?? end,
        stdout: out.bytes,
        stderr: err.bytes.toString('utf8'),
        fd3: fd3.bytes,
        durationMs: performance.now() - started,
      });
    };

    const [program, ...args] = options.argv;
    const stdio: StdioOptions = [
      options.stdin === undefined ? 'ignore' : 'pipe',
      options.discardStdout ? 'ignore' : 'pipe',
      'pipe',
    ];
    if (options.readFd3) stdio.push('pipe');
    const child = spawn(program, args, { env: options.env, cwd: options.cwd, stdio, detached: true });

    const stop = (reason?: ProgramEnd): void => {
      first ??= reason;
      killGroup(child, 'SIGTERM');
      killTimer ??= setTimeout(() => killGroup(child, 'SIGKILL'), options.killAfterMs ?? 2000);
    };
    const deadline = setTimeout(() => stop({ kind: 'timed-out', afterMs: options.timeoutMs }), options.timeoutMs);
    const unlink = onAbort(signal, () => stop());

    const collect = (buffer: BoundedBuffer, onText?: (text: string) => void) => (chunk: Buffer) => {
      onText?.(chunk.toString('utf8'));
      if (!buffer.add(chunk)) stop({ kind: 'output-too-large', limitBytes: limit });
    };
    child.stdout?.on('data', collect(out));
    child.stderr?.on('data', collect(err, options.onStderr));
    child.stdio[3]?.on('data', collect(fd3));
    // A child that exits without reading its input raises EPIPE here; how it ended says all there is to say.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.stdin);

    child.on('error', (error) => {
      if (child.pid === undefined) finish({ kind: 'not-started', errno: errnoOf(error) ?? 'EUNKNOWN' });
    });
    child.on('exit', (code, signalName) => {
      const end: ProgramEnd =
        code === null ? { kind: 'signalled', signal: signalName ?? 'SIGKILL' } : { kind: 'exited', code };
      const leave = (): void => {
        for (const stream of child.stdio) stream?.destroy();
        finish(end);
      };
      // A process that stood still for so long has not read yet what was printed in time: that comes first.
      drainTimer = setTimeout(() => setImmediate(leave), drainAfterExitMs);
      child.once('close', () => finish(end));
    });
  });

/** The group, so that a plugin's own children go with it; a group that is gone is fine. */
function killGroup(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, name);
  } catch (err) {
    if (errnoOf(err) !== 'ESRCH') throw err;
  }
}
