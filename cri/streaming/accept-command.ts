import type { IncomingMessage } from 'node:http';
import type { Duplex, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ContainerIo } from '../contract/streaming-service.js';
import { withoutTerminalStderr, type CommandChannels, type CommandStreams } from './command-channels.js';
import { encodeOutcome, encodeOutcomeText, type CommandOutcome } from './command-outcome.js';
import { acceptCommandOverSpdy } from './command-over-spdy.js';
import { acceptCommandOverWebSocket } from './command-over-web-socket.js';
import { isWebSocketRequest } from './http-upgrade.js';
import { readTerminalSizes } from './terminal-sizes.js';

/** One exec or attach of a client. */
export interface CommandSession {
  /** Hand these to `StreamingService.exec` or `attach`. */
  readonly io: ContainerIo;
  /** Aborts when the client went away. */
  readonly gone: AbortSignal;
  /** Hands over what is left of the output, then the outcome, and closes the connection. */
  finish(outcome: CommandOutcome): Promise<void>;
}

/**
 * Takes over an HTTP/1.1 connection whose client asked for an upgrade to SPDY/3.1 or WebSocket. Rejects when the two have no
 * protocol in common or the client does not open its streams; the client has been answered by then.
 */
export async function acceptCommand(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: CommandStreams,
  signal: AbortSignal,
): Promise<CommandSession> {
  const streams = withoutTerminalStderr(wanted);
  const channels = isWebSocketRequest(request)
    ? await acceptCommandOverWebSocket(request, socket, head, streams)
    : await acceptCommandOverSpdy(request, socket, head, streams, signal);
  return {
    io: {
      stdin: channels.stdin,
      stdout: channels.stdout,
      stderr: channels.stderr,
      resize: channels.resize === undefined ? undefined : readTerminalSizes(channels.resize),
    },
    gone: channels.gone,
    finish: (outcome) => finish(channels, outcome),
  };
}

async function finish(channels: CommandChannels, outcome: CommandOutcome): Promise<void> {
  await Promise.all([ended(channels.stdout, channels.gone), ended(channels.stderr, channels.gone)]);
  const text = channels.outcomeIsStatus ? encodeOutcome(outcome) : encodeOutcomeText(outcome);
  if (text !== '') channels.error.write(text);
  await ended(channels.error, channels.gone);
  channels.close();
}

/** Waits until everything written has left, or nobody is there to take it. */
async function ended(stream: Writable | undefined, gone: AbortSignal): Promise<void> {
  if (stream === undefined || stream.destroyed || gone.aborted) return;
  stream.end();
  try {
    await finished(stream, { readable: false, signal: gone });
  } catch {
    // The client left: there is nobody to tell.
  }
}
