import { readFile } from 'node:fs/promises';
import type { Readable, Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { TimedOut, linkSignal } from '../../base/signals.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { CriError, criError, isCriCode, unlessGone } from '../contract/cri-error.js';
import type { ContainerIo, TerminalSize } from '../contract/streaming-service.js';
import { findContainer } from './find-container.js';
import type { DockerApi } from './docker-api.js';
import type { DockerContext } from './options.js';
import { copyTerminal, separateStreams } from './raw-stream.js';
import { containerEnded, untilContainerEnds } from './until-container-ends.js';
import { SyncOutput } from '../streaming/sync-output.js';

interface InspectedExec {
  readonly Running: boolean;
  readonly ExitCode: number | null;
  readonly Pid: number;
}

const exitPollMs = 20;
const killWaitMs = 5000;

export async function execInContainer(
  context: DockerContext,
  request: v1.ExecRequest,
  io: ContainerIo,
  signal: AbortSignal,
): Promise<{ readonly exitCode: number }> {
  const { api } = context;
  const container = await findContainer(context, request.containerId, signal);
  if (!container.State.Running) {
    throw criError('failed-precondition', `exec in ${container.Id}: the container does not run`);
  }
  const tty = request.tty === true;
  const { Id: id } = await api.call<{ Id: string }>(
    {
      method: 'POST',
      path: `/containers/${container.Id}/exec`,
      body: {
        Cmd: request.cmd ?? [],
        Tty: tty,
        AttachStdin: io.stdin !== undefined,
        AttachStdout: io.stdout !== undefined,
        AttachStderr: io.stderr !== undefined && !tty,
      },
      verb: `exec in ${container.Id}`,
      subject: { object: container.Id },
    },
    signal,
  );
  // Not linked to the signal: an abort must end the command first, then the connection.
  using connecting = linkSignal(signal);
  const start = {
    method: 'POST',
    path: `/exec/${id}/start`,
    body: { Detach: false, Tty: tty },
    verb: `exec in ${container.Id}`,
  } as const;
  const connection = await api.hijack(start, connecting.signal);
  try {
    const exec = { id, containerId: container.Id };
    const told = untilContainerEnds(connection, containerEnded(api, container.Id, connecting.signal));
    const output = onceStarted(told, () => hasStarted(context, exec, signal), tty, `exec in ${container.Id}`);
    await carry(connection, output, io, tty, (size) => resize(api, `/exec/${id}/resize`, size, signal), signal);
    signal.throwIfAborted();
    const { ExitCode, Pid } = await untilExec(context, exec, hasEnded, signal);
    if (Pid === 0) throw criError('unknown', `exec in ${container.Id}: ${request.cmd?.[0] ?? ''} could not be started`);
    return { exitCode: ExitCode ?? 0 };
  } catch (err) {
    if (signal.aborted) await killExec(api, id, container.Id);
    signal.throwIfAborted();
    throw err;
  } finally {
    connection.destroy();
    connecting.abort(new Error('the command is over'));
  }
}

/**
 * A command that could not be started never had a process, and Docker says why in its output; the other runtimes fail. Nothing is handed on
 * before the process is there.
 */
async function* onceStarted(
  output: AsyncIterable<Buffer>,
  hasStarted: () => Promise<boolean>,
  tty: boolean,
  what: string,
): AsyncGenerator<Buffer> {
  const words: Buffer[] = [];
  let started = false;
  for await (const chunk of output) {
    started ||= await hasStarted();
    if (started) yield chunk;
    else words.push(chunk);
  }
  if (words.length === 0) return;
  const { stdout } = new SyncOutput();
  if (tty) await copyTerminal(words, stdout);
  else await separateStreams(words, { stdout, stderr: stdout });
  throw criError('unknown', `${what}: ${Buffer.from(stdout.bytes).toString('utf8').trim()}`);
}

/**
 * Copies between the client and a hijacked connection until its output ends. Aborted, it stops reading at once. `output` is what comes of
 * the connection.
 */
export async function carry(
  connection: Duplex,
  output: AsyncIterable<Buffer>,
  io: ContainerIo,
  tty: boolean,
  onSize: (size: TerminalSize) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const onAbort = (): void => void connection.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  connection.on('error', () => {});
  if (io.stdin === undefined) connection.end();
  else feed(io.stdin, connection);
  if (tty && io.resize !== undefined) void followSizes(io.resize, onSize);
  try {
    if (tty) await copyTerminal(output, io.stdout);
    else await separateStreams(output, io);
  } catch (err) {
    signal.throwIfAborted();
    if (err instanceof CriError) throw err;
    throw criError('unavailable', 'read the output of a command: the connection to Docker broke', err);
  } finally {
    signal.removeEventListener('abort', onAbort);
    io.stdin?.unpipe(connection);
  }
}

function feed(stdin: Readable, connection: Duplex): void {
  stdin.on('error', () => connection.end());
  stdin.pipe(connection);
}

async function followSizes(
  sizes: AsyncIterable<TerminalSize>,
  onSize: (size: TerminalSize) => Promise<void>,
): Promise<void> {
  try {
    for await (const size of sizes) await onSize(size);
  } catch {
    // The command ended while its size was set, or the client went away.
  }
}

/** Docker knows the terminal a moment after the start: asked again while it says otherwise. */
export async function resize(api: DockerApi, path: string, size: TerminalSize, signal: AbortSignal): Promise<void> {
  const query = { h: size.rows, w: size.columns };
  for (let tries = 0; tries < 10; tries++) {
    try {
      await api.call({ method: 'POST', path, query, verb: 'resize a terminal' }, signal);
      return;
    } catch (err) {
      if (isCriCode(err, 'not-found')) return;
      await delay(exitPollMs * (tries + 1), undefined, { signal });
    }
  }
}

async function inspectExec(api: DockerApi, id: string, signal: AbortSignal): Promise<InspectedExec> {
  return await api.call<InspectedExec>(
    { method: 'GET', path: `/exec/${id}/json`, verb: 'ask how a command ended' },
    signal,
  );
}

interface Exec {
  readonly id: string;
  readonly containerId: string;
}

const hasEnded = ({ Running, ExitCode }: InspectedExec): boolean => !Running && ExitCode !== null;

/** How often Docker is asked before it is doubted. */
const trustedAnswers = 5;
/** As a shell reports SIGKILL. */
const killedCode = 137;
/** It ended with its container. Of one that could not be started Docker would have said so before. */
const endedUnheard: InspectedExec = { Running: false, ExitCode: killedCode, Pid: -1 };

/**
 * Resolves with what is true of it when the condition holds: its output is there a moment before Docker knows. A command whose container
 * ends at the same moment Docker may forget, or say for ever that it runs, or has not begun.
 */
async function untilExec(
  context: DockerContext,
  { id, containerId }: Exec,
  holds: (exec: InspectedExec) => boolean,
  signal: AbortSignal,
): Promise<InspectedExec> {
  for (let answers = 0; ; answers++) {
    const found = await unlessGone(inspectExec(context.api, id, signal));
    if (found === undefined) return endedUnheard;
    if (holds(found)) return found;
    if (answers >= trustedAnswers) {
      const container = await unlessGone(findContainer(context, containerId, signal));
      if (container?.State.Running !== true) return endedUnheard;
    }
    await delay(exitPollMs, undefined, { signal });
  }
}

/** False for one that has ended without a process. */
async function hasStarted(context: DockerContext, exec: Exec, signal: AbortSignal): Promise<boolean> {
  const { Pid } = await untilExec(context, exec, (found) => found.Pid !== 0 || hasEnded(found), signal);
  return Pid !== 0;
}

/** Docker has no call to end an exec; its process is on this machine. */
async function killExec(api: DockerApi, id: string, containerId: string): Promise<void> {
  const limit = AbortSignal.timeout(killWaitMs);
  try {
    for (let tries = 0; tries < 50; tries++) {
      const { Running, Pid } = await inspectExec(api, id, limit);
      if (!Running && Pid !== 0) return;
      if (Pid > 0) {
        // Of a container that has ended Docker may still tell it, and by then it may be somebody else's.
        if ((await readFile(`/proc/${Pid}/cgroup`, 'utf8')).includes(containerId)) process.kill(Pid, 'SIGKILL');
        return;
      }
      await delay(exitPollMs, undefined, { signal: limit });
    }
  } catch {
    // It is gone, or Docker is: either way there is nothing left to end.
  }
}

/** A timer that is set for longer goes off at once. */
const longestTimerMs = 2 ** 31 - 1;

export async function execSync(
  context: DockerContext,
  request: v1.ExecSyncRequest,
  signal: AbortSignal,
): Promise<v1.ExecSyncResponse> {
  const { containerId, cmd, timeout = 0 } = request;
  const { stdout, stderr } = new SyncOutput();
  using limit = linkSignal(
    signal,
    timeout > 0 ? { timeoutMs: Math.min(timeout * 1000, longestTimerMs), what: `exec in ${containerId ?? ''}` } : {},
  );
  try {
    const { exitCode } = await execInContainer(
      context,
      { containerId, cmd, stdout: true, stderr: true },
      { stdout, stderr },
      limit.signal,
    );
    return { stdout: stdout.bytes, stderr: stderr.bytes, exitCode };
  } catch (err) {
    signal.throwIfAborted();
    if (limit.signal.reason instanceof TimedOut) {
      throw criError('deadline-exceeded', `exec in ${containerId ?? ''}: timeout ${timeout}s exceeded`, err);
    }
    throw err;
  }
}
