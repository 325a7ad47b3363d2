import type { Readable, Writable } from 'node:stream';

/** Which streams an exec or attach has. With a terminal there is no stderr. */
export interface CommandStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** The streams of one exec or attach on the server's side, whatever protocol carries them. */
export interface CommandChannels {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  readonly resize: Readable | undefined;
  /** Carries the outcome at the end. */
  readonly error: Writable;
  /** False for the protocols before v4, whose outcome is plain text. */
  readonly outcomeIsStatus: boolean;
  /** Aborts when the client is gone. */
  readonly gone: AbortSignal;
  /** Closes the connection once everything written has left. */
  close(): void;
}

/** A terminal carries its errors on stdout (the kubelet drops the wish for stderr there). */
export function withoutTerminalStderr(streams: CommandStreams): CommandStreams {
  return streams.tty && streams.stderr ? { ...streams, stderr: false } : streams;
}
