import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { basename } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { orAbort } from '../../../base/signals.js';
import { criError } from '../../contract/cri-error.js';
import type { ContainerIo, TerminalSize } from '../../contract/streaming-service.js';
import { conmonCommon } from '../containers/conmon-argv.js';
import { sendControl } from '../containers/reopen-log.js';
import { containerSubject, type RuntimeContext } from '../context.js';
import { startConmon, type StartedConmon } from '../host/conmon.js';
import { killMakers } from '../host/kill-makers.js';
import { mustRun, programEnv } from '../host/oci-program.js';
import { identify, signalProcess } from '../host/process-identity.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { execProcess } from './exec-process.js';
import { LogLineParser } from './log-lines.js';
import { execFolder } from './run-exec.js';
import { runtimeWords } from './runtime-words.js';

const sigKill = 9;
/** How long a first size is waited for: a client that has one sends it at once. */
const firstSizeMs = 100;

/**
 * A command with a terminal. conmon holds the terminal: it gives the exit code on its sync pipe and takes sizes on its control FIFO.
 * Its log is a FIFO that we read, so that output is exact, has back pressure, and is never a file.
 */
export async function execTerminal(
  context: RuntimeContext,
  entry: ContainerEntry,
  command: readonly string[],
  io: ContainerIo,
  signal: AbortSignal,
): Promise<number> {
  const sizes = io.resize?.[Symbol.asyncIterator]();
  const first = sizes === undefined ? undefined : new FirstSize(sizes);
  const size = await first?.within(context, signal);
  const process = await execProcess(context, entry, command, { size });
  const folder = execFolder(context);
  try {
    writeFileSync(`${folder}/process.json`, JSON.stringify(process), { mode: 0o600 });
    await mustRun(['mkfifo', '-m', '0600', `${folder}/log`], 'exec with a terminal', context.deps, signal);
    return await runTerminal(context, entry, folder, io, first, signal);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runTerminal(
  context: RuntimeContext,
  entry: ContainerEntry,
  folder: string,
  io: ContainerIo,
  sizes: FirstSize | undefined,
  signal: AbortSignal,
): Promise<number> {
  // Opened for both ways first: a FIFO without a writer would end at once, one without a reader would block conmon.
  const holder = openSync(`${folder}/log`, constants.O_RDWR | constants.O_NONBLOCK);
  const log = new Socket({
    fd: openSync(`${folder}/log`, constants.O_RDONLY | constants.O_NONBLOCK),
    readable: true,
    writable: false,
  });
  const output = copyLog(log, io.stdout);
  let started: StartedConmon;
  try {
    signal.throwIfAborted();
    started = await startConmon(
      {
        argv: [
          context.options.conmonPath,
          ...conmonCommon(context, entry.record.ociRuntime, entry.id, folder),
          '--cuuid',
          basename(folder),
          '--exec',
          '--exec-process-spec',
          `${folder}/process.json`,
          '--terminal',
          '--stdin',
          '--log-path',
          `k8s-file:${folder}/log`,
          // Why a command could not be started: what is said of it otherwise is said to its terminal, which is gone by then.
          '--runtime-arg',
          '--log',
          '--runtime-arg',
          `${folder}/oci.log`,
        ],
        logPath: `${folder}/conmon.log`,
        verb: 'exec',
        ociRuntime: entry.record.ociRuntime,
        subject: containerSubject(entry),
        timeoutMs: context.options.ociTimeoutMs,
      },
      context.deps.recorder,
      // Not cut off in the middle: who the command is, and so what to kill, is known with conmon's answer. It has a deadline.
      new AbortController().signal,
    );
    closeSync(holder);
  } catch (err) {
    closeSync(holder);
    killMakers(basename(folder), Object.values(context.options.ociRuntimes));
    const why = runtimeWords(`${folder}/oci.log`);
    log.destroy();
    signal.throwIfAborted();
    if (why === '') throw err;
    throw criError('unknown', `exec in container ${entry.record.metadata.name}: ${why}`, err);
  }
  output.release();
  const command = identify(started.pid);
  const kill = (): void => {
    if (command !== undefined) signalProcess(command, sigKill);
  };
  const input = io.stdin === undefined ? undefined : sendInput(folder, io.stdin);
  signal.addEventListener('abort', kill, { once: true });
  const resizing = sizes?.forEach((size) => resize(folder, size));
  try {
    if (signal.aborted) kill();
    const exitCode = await started.exitCode;
    // A client that has left does not read on.
    await orAbort(output.drained, signal);
    return exitCode;
  } finally {
    signal.removeEventListener('abort', kill);
    input?.();
    sizes?.stop();
    void resizing;
    log.destroy();
  }
}

export function resize(folder: string, size: TerminalSize): void {
  if (!(size.rows > 0 && size.columns > 0)) return;
  try {
    sendControl(folder, `1 ${size.rows} ${size.columns}`, 'resize terminal');
  } catch {
    // The command has just ended; its terminal has no size any more.
  }
}

interface LogCopy {
  /** Settles at the log's end. */
  readonly drained: Promise<void>;
  /** The command has started: what was said is its output, and goes to the client. */
  release(): void;
}

/** Hands the payload of the log over with back pressure, once it is known to be the command's. */
function copyLog(log: Readable, sink: Writable | undefined): LogCopy {
  const parser = new LogLineParser();
  const open = (): boolean => sink !== undefined && !sink.destroyed;
  let held: Buffer[] | undefined = [];
  const take = (data: Buffer): void => {
    if (held !== undefined) held.push(data);
    else if (open()) sink?.write(data);
  };
  sink?.on('error', () => {});
  const drained = new Promise<void>((resolve) => {
    log.on('data', (chunk: Buffer) => {
      for (const { data } of parser.push(chunk)) take(data);
      if (held === undefined && open() && sink?.writableNeedDrain === true) pauseUntilDrained(log, sink);
    });
    log.on('error', () => resolve());
    log.on('close', () => resolve());
    log.on('end', () => resolve());
  });
  return {
    drained,
    release() {
      const said = held ?? [];
      held = undefined;
      for (const data of said) take(data);
    },
  };
}

function pauseUntilDrained(log: Readable, sink: Writable): void {
  log.pause();
  const resume = (): void => {
    sink.removeListener('drain', resume);
    sink.removeListener('close', resume);
    log.resume();
  };
  sink.once('drain', resume);
  sink.once('close', resume);
}

/**
 * conmon's attach socket is SOCK_SEQPACKET, which Node cannot open; socat can. What comes back that way is thrown away: the log has
 * it. The folder is socat's working directory since a socket's path is short.
 */
export function sendInput(folder: string, source: Readable): () => void {
  const child = spawn('socat', ['-', 'UNIX-CONNECT:attach,type=5'], {
    cwd: folder,
    env: programEnv,
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  source.pipe(child.stdin);
  return () => {
    source.unpipe(child.stdin);
    child.stdin.destroy();
    child.kill('SIGKILL');
  };
}

/** The client's sizes: the first one early enough for the start, the others as they come. */
export class FirstSize {
  readonly #sizes: AsyncIterator<TerminalSize>;
  #pending: Promise<IteratorResult<TerminalSize>> | undefined;
  #stopped = false;

  constructor(sizes: AsyncIterator<TerminalSize>) {
    this.#sizes = sizes;
  }

  async within(context: RuntimeContext, signal: AbortSignal): Promise<TerminalSize | undefined> {
    this.#pending = this.#sizes.next();
    const timeout = new AbortController();
    const late = context.deps.clock.sleep(firstSizeMs, timeout.signal).catch(() => {});
    const first = await Promise.race([this.#pending, late]);
    timeout.abort();
    signal.throwIfAborted();
    if (first === undefined || first.done === true) return undefined;
    this.#pending = undefined;
    return first.value;
  }

  async forEach(act: (size: TerminalSize) => void): Promise<void> {
    try {
      while (!this.#stopped) {
        const next = await (this.#pending ?? this.#sizes.next());
        this.#pending = undefined;
        if (next.done === true) return;
        act(next.value);
      }
    } catch (err) {
      if (!this.#stopped) throw criError('internal', 'read terminal sizes', err);
    }
  }

  stop(): void {
    this.#stopped = true;
    void this.#sizes.return?.();
  }
}
