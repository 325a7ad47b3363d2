import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CommandChannels, CommandStreams } from './command-channels.js';
import { WebSocketChannels, acceptWebSocket, type ChannelProtocol } from './web-socket-channels.js';

interface CommandProtocol extends ChannelProtocol {
  readonly outcomeIsStatus: boolean;
}

const oldest: CommandProtocol = {
  name: 'channel.k8s.io',
  base64: false,
  closeSignal: false,
  outcomeIsStatus: false,
};
const protocols: readonly CommandProtocol[] = [
  { name: 'v5.channel.k8s.io', base64: false, closeSignal: true, outcomeIsStatus: true },
  { name: 'v4.channel.k8s.io', base64: false, closeSignal: false, outcomeIsStatus: true },
  { name: 'v4.base64.channel.k8s.io', base64: true, closeSignal: false, outcomeIsStatus: true },
  oldest,
  { ...oldest, name: 'base64.channel.k8s.io', base64: true },
];

/** Channels of exec and attach: stdin 0, stdout 1, stderr 2, error 3, resize 4. */
const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 };

export async function acceptCommandOverWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  streams: CommandStreams,
): Promise<CommandChannels> {
  const { webSocket, protocol } = await acceptWebSocket(request, socket, head, protocols, oldest);
  const channels = new WebSocketChannels(webSocket, protocol, false);
  const open = (number: number, wanted: boolean): Duplex | undefined => (wanted ? channels.open(number) : undefined);
  const stdout = open(channel.stdout, streams.stdout);
  const stderr = open(channel.stderr, streams.stderr);
  const error = channels.open(channel.error);
  // Clients take the first message, an empty one, for "the streams are ready".
  (stdout ?? stderr ?? error).write(Buffer.alloc(0));
  return {
    stdin: open(channel.stdin, streams.stdin),
    stdout,
    stderr,
    resize: open(channel.resize, streams.tty),
    error,
    outcomeIsStatus: protocol.outcomeIsStatus,
    gone: channels.closed,
    close: () => channels.close(),
  };
}
