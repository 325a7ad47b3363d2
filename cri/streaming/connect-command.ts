import type { Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import type { ContainerIo } from '../contract/streaming-service.js';
import { decodeOutcome, type CommandOutcome } from './command-outcome.js';
import { connectSpdy } from './connect-spdy.js';
import { StreamingError } from './streaming-error.js';
import type { SpdySession } from './spdy/index.js';
import { encodeTerminalSize } from './terminal-sizes.js';

const protocol = 'v4.channel.k8s.io';
const maxOutcomeBytes = 64 * 1024;

/**
 * The client's side of exec and attach over SPDY/3.1: the one protocol that every CRI runtime serves and whose stdin can be
 * closed (WebSocket can do so from v5 on, which containerd does not speak). Resolves once the outcome came and the output
 * was handed over. An abort closes the connection and rejects with the reason.
 */
export async function connectCommand(
  url: URL,
  io: ContainerIo,
  tty: boolean,
  signal: AbortSignal,
): Promise<CommandOutcome> {
  const session = await connectSpdy(url, protocol, signal);
  const onAbort = (): void => session.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const outcome = await run(session, io, tty);
    signal.throwIfAborted();
    return outcome;
  } catch (err) {
    signal.throwIfAborted();
    throw err;
  } finally {
    signal.removeEventListener('abort', onAbort);
    session.close();
  }
}

async function run(session: SpdySession, io: ContainerIo, tty: boolean): Promise<CommandOutcome> {
  const open = async (streamtype: string): ReturnType<SpdySession['open']> => await session.open({ streamtype });
  // The error stream first: servers count streams, and every protocol has this one.
  const error = await open('error');
  error.end();
  const outcome = readOutcome(error);
  // Handled where it is awaited; a failure before that must not be an unhandled one.
  outcome.catch(() => {});
  const stdin = io.stdin === undefined ? undefined : await open('stdin');
  const stdout = io.stdout === undefined ? undefined : await open('stdout');
  const stderr = io.stderr === undefined || tty ? undefined : await open('stderr');
  const resize = tty ? await open('resize') : undefined;
  stdout?.end();
  stderr?.end();
  if (resize !== undefined) void sendSizes(io.resize, resize, session.closed);
  if (stdin !== undefined && io.stdin !== undefined) void feed(io.stdin, stdin);
  await Promise.all([drain(stdout, io.stdout), drain(stderr, io.stderr)]);
  return await outcome;
}

async function readOutcome(error: Readable): Promise<CommandOutcome> {
  let text = '';
  for await (const chunk of error) {
    text += (chunk as Buffer).toString('utf8');
    if (text.length > maxOutcomeBytes) break;
  }
  if (text === '') {
    throw new StreamingError('wait for the outcome of a command: the connection closed first', { code: 'closed' });
  }
  return decodeOutcome(text);
}

/** Leaves the caller's stream open: whoever made it ends it. */
async function drain(from: Readable | undefined, to: Writable | undefined): Promise<void> {
  if (from === undefined || to === undefined) return;
  try {
    await pipeline(from, to, { end: false });
  } catch (err) {
    // A reader that closed early does not want the rest; the command goes on.
    if (!to.destroyed && !to.writableEnded) throw err;
    from.resume();
    await finished(from, { writable: false }).catch(() => {});
  }
}

/** Not awaited by anyone: a command may end without having read its input. */
async function feed(from: Readable, to: Writable): Promise<void> {
  try {
    await pipeline(from, to);
  } catch {
    to.destroy();
  }
}

async function sendSizes(sizes: ContainerIo['resize'], to: Writable, closed: AbortSignal): Promise<void> {
  if (sizes === undefined) return void to.end();
  try {
    for await (const size of sizes) {
      if (closed.aborted) return;
      to.write(encodeTerminalSize(size));
    }
    to.end();
  } catch {
    to.destroy();
  }
}
