import type { Duplex, Readable, Writable } from 'node:stream';
import type * as v1 from '../../proto/generated/cri-v1.js';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The streams of one exec or attach; each that is absent is not wanted. With a terminal, errors come on `stdout`. */
export interface ContainerIo {
  readonly stdin?: Readable | undefined;
  readonly stdout?: Writable | undefined;
  readonly stderr?: Writable | undefined;
  /** Terminal sizes as they change; the first one comes before the command starts, where the client sent one. */
  readonly resize?: AsyncIterable<TerminalSize> | undefined;
}

export interface PortForwardTarget {
  readonly podSandboxId: string;
  /** 1 to 65535, TCP on the sandbox's loopback. */
  readonly port: number;
}

/** Exec, attach and port-forward with their streams. An aborted signal ends the command and rejects with its reason. */
export interface StreamingService {
  /** Resolves with the exit code once the command ended and its output was handed over. */
  exec(request: v1.ExecRequest, io: ContainerIo, signal: AbortSignal): Promise<{ exitCode: number }>;
  /** Resolves when the container's main process ended or its output closed. */
  attach(request: v1.AttachRequest, io: ContainerIo, signal: AbortSignal): Promise<void>;
  /** Resolves when either side closed; `failed-precondition` when nothing listens on the port. */
  portForward(target: PortForwardTarget, connection: Duplex, signal: AbortSignal): Promise<void>;
}
