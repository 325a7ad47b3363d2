import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { linkSignal, orAbort } from '../../base/signals.js';
import type { CommandChannels, CommandStreams } from './command-channels.js';
import { switchToSpdy } from './http-upgrade.js';
import { SpdySession, type SpdyStream } from './spdy/index.js';
import { StreamingError } from './streaming-error.js';

const protocols = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'];
const withoutResize = new Set(['v2.channel.k8s.io', 'channel.k8s.io']);
const streamCreationMs = 30_000;

/** SPDY/3.1: the client opens one stream per channel, named by its `streamtype` header. */
export async function acceptCommandOverSpdy(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  streams: CommandStreams,
  signal: AbortSignal,
): Promise<CommandChannels> {
  const protocol = switchToSpdy(request, socket, protocols, 'channel.k8s.io');
  const expected = expectedTypes(streams, protocol);
  const received = new Map<string, SpdyStream>();
  let complete = (): void => {};
  const allReceived = new Promise<void>((resolve) => (complete = resolve));
  const session = new SpdySession(socket, {
    role: 'server',
    head,
    onStream: (stream) => {
      const type = stream.headers['streamtype'] ?? '';
      if (!expected.has(type) || received.has(type)) {
        throw new StreamingError(`accept a stream: unexpected type "${type}"`, { code: 'protocol' });
      }
      received.set(type, stream);
      if (received.size === expected.size) complete();
    },
  });
  try {
    using limit = linkSignal(signal, { timeoutMs: streamCreationMs, what: 'the client to create its streams' });
    await orAbort(orAbort(allReceived, session.closed), limit.signal);
  } catch (err) {
    session.destroy(err as Error);
    throw err;
  }
  for (const type of ['error', 'stdout', 'stderr']) received.get(type)?.resume();
  return {
    stdin: received.get('stdin'),
    stdout: received.get('stdout'),
    stderr: received.get('stderr'),
    resize: received.get('resize'),
    error: received.get('error') as SpdyStream,
    outcomeIsStatus: protocol === 'v4.channel.k8s.io',
    gone: session.closed,
    close: () => session.close(),
  };
}

function expectedTypes(streams: CommandStreams, protocol: string): Set<string> {
  const types = new Set(['error']);
  if (streams.stdin) types.add('stdin');
  if (streams.stdout) types.add('stdout');
  if (streams.stderr) types.add('stderr');
  if (streams.tty && !withoutResize.has(protocol)) types.add('resize');
  return types;
}
