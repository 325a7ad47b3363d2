import { defaultSocket, demoSocket, NodeApiClient, socketPath } from './client/index.js';

/** For the help text. */
export const describeSockets = `${defaultSocket}, ${demoSocket}`;

/** What a command works with; nothing of it is loaded before it is needed. */
export interface CommandContext {
  readonly client: NodeApiClient;
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  /** Aborted by Ctrl-C: commands that follow something end well then. */
  readonly signal: AbortSignal;
}

export interface ClientFlags {
  readonly socket?: string | undefined;
}

export function openContext(flags: ClientFlags, interruptible = true): CommandContext {
  const stop = new AbortController();
  if (interruptible)
    for (const name of ['SIGINT', 'SIGTERM'] as const)
      process.once(name, () => stop.abort(new DOMException(`got ${name}`, 'AbortError')));
  // `berth get pods | head -1`: the reader going away is no failure.
  process.stdout.on('error', () => stop.abort(new DOMException('the output was closed', 'AbortError')));
  return {
    client: new NodeApiClient(socketPath(flags.socket)),
    out: process.stdout,
    err: process.stderr,
    signal: stop.signal,
  };
}
