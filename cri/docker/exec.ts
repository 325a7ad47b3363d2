import type { Readable, Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { TimedOut, linkSignal } from '../../base/signals.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError, isCriCode } from '../contract/cri-error.js';
import type { ContainerIo, TerminalSize } from '../contract/streaming-service.js';
import { findContainer } from './find-container.js';
import type { DockerApi } from './docker-api.js';
import type { DockerContext } from './options.js';
import { copyTerminal, separateStreams } from './raw-stream.js';
import { SyncOutput } from '../streaming/sync-output.js';

interface InspectedExec {
  readonly Running: boolean;
  readonly ExitCode: number | null;
  readonly Pid: number;
}

/** One that could not be started never had a process: what Docker says of it is in its output. */
interface CommandEnd {
  readonly exitCode: number;
  readonly ran: boolean;
}

const exitPollMs = 20;
const killWaitMs = 5000;

export async function execInContainer(
  context: DockerContext,
  request: v1.ExecRequest,
  io: ContainerIo,
  signal: AbortSignal,
): Promise<CommandEnd> {
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
    const ended = carry(connection, io, tty, (size) => resize(api, `/exec/${id}/resize`, size, signal), signal);
    await ended;
    signal.throwIfAborted();
    return await ending(api, id, signal);
  } catch (err) {
    if (signal.aborted) await killExec(api, id);
    signal.throwIfAborted();
    throw err;
  } finally {
    connection.destroy();
  }
}

/** Copies between the client and a hijacked connection until the output ends. Aborted, it stops reading at once. */
export async function carry(
  connection: Duplex,
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
    if (tty) await copyTerminal(connection, io.stdout);
    else await separateStreams(connection, io);
  } catch (err) {
    signal.throwIfAborted();
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

/** The output may end a moment before the command is known to have. */
async function ending(api: DockerApi, id: string, signal: AbortSignal): Promise<CommandEnd> {
  while (true) {
    const { Running, ExitCode, Pid } = await inspectExec(api, id, signal);
    if (!Running && ExitCode !== null) return { exitCode: ExitCode, ran: Pid !== 0 };
    await delay(exitPollMs, undefined, { signal });
  }
}

/** Docker has no call to end an exec; its process is on this machine. */
async function killExec(api: DockerApi, id: string): Promise<void> {
  const limit = AbortSignal.timeout(killWaitMs);
  try {
    for (let tries = 0; tries < 50; tries++) {
      const { Running, Pid } = await inspectExec(api, id, limit);
      if (!Running && Pid !== 0) return;
      if (Pid > 0) return void process.kill(Pid, 'SIGKILL');
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
    const { exitCode, ran } = await execInContainer(
      context,
      { containerId, cmd, stdout: true, stderr: true },
      { stdout, stderr },
      limit.signal,
    );
    if (!ran) {
      throw criError('unknown', `exec in ${containerId ?? ''}: ${Buffer.from(stdout.bytes).toString('utf8').trim()}`);
    }
    return { stdout: stdout.bytes, stderr: stderr.bytes, exitCode };
  } catch (err) {
    signal.throwIfAborted();
    if (limit.signal.reason instanceof TimedOut) {
      throw criError('deadline-exceeded', `exec in ${containerId ?? ''}: timeout ${timeout}s exceeded`, err);
    }
    throw err;
  }
}
