import { chmod, lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from '../../base/log.js';
import { serviceDefinition } from '../../proto/load.js';
import { criError } from '../contract/cri-error.js';
import type { CriRuntime } from '../contract/runtime.js';
import { maxMessageBytes } from '../remote/cri-client.js';
import { longDeadlines } from './long-deadlines.js';
import { imageStreams, runtimeStreams } from './stream-handlers.js';
import { StreamingServer, type StreamingServerOptions } from './streaming-server.js';
import { unaryHandlers } from './unary-handlers.js';
import { imageVerbs, runtimeVerbs } from './verbs.js';

export interface ServeCriOptions {
  readonly socketPath: string;
  /** Where the URLs of Exec, Attach and PortForward point; loopback and any free port when absent. */
  readonly streamingAddress?: Partial<StreamingServerOptions> | undefined;
}

export interface ServeCriDeps {
  readonly log: Logger;
}

export interface CriServer extends AsyncDisposable {
  /** For clients: `unix:///...`. */
  readonly endpoint: string;
}

/** How long calls under way may take to end when the server closes. */
const drainMs = 5000;

/**
 * Puts a runtime behind a CRI v1 socket that only its owner may open. A socket left by a process that is gone is replaced; one
 * that answers is not. Disposing it ends calls and streams and removes the socket; containers run on.
 */
export async function serveCri(
  runtime: CriRuntime,
  options: ServeCriOptions,
  deps: ServeCriDeps,
  signal: AbortSignal,
): Promise<CriServer> {
  signal.throwIfAborted();
  const { socketPath, streamingAddress } = options;
  const { log } = deps;
  await removeStaleSocket(socketPath);
  // Before anything is opened: what fails here must not leave a server behind that keeps the process alive.
  const runtimeApi = serviceDefinition('cri-v1', 'runtime.v1.RuntimeService');
  const imageApi = serviceDefinition('cri-v1', 'runtime.v1.ImageService');
  const closing = new AbortController();
  const streams = await StreamingServer.open(
    { host: '127.0.0.1', port: 0, ...streamingAddress },
    { streaming: runtime.streaming, log },
  );
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    interceptors: [longDeadlines],
  });
  server.addService(runtimeApi, {
    ...unaryHandlers(runtimeVerbs(runtime, streams), log, closing.signal),
    ...runtimeStreams(runtime.runtime, closing.signal),
  });
  server.addService(imageApi, {
    ...unaryHandlers(imageVerbs(runtime), log, closing.signal),
    ...imageStreams(runtime.images, closing.signal),
  });
  const dispose = async (): Promise<void> => {
    closing.abort(criError('unavailable', 'the runtime service is closing'));
    await streams[Symbol.asyncDispose]();
    await shutDown(server);
    await rm(socketPath, { force: true });
  };
  try {
    await bind(server, socketPath);
  } catch (err) {
    await dispose();
    throw err;
  }
  log.info({ socketPath }, 'serving CRI');
  return { endpoint: `unix://${socketPath}`, [Symbol.asyncDispose]: dispose };
}

async function bind(server: Server, socketPath: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (err) => {
      if (err === null) resolve();
      else reject(criError('internal', `serve CRI on ${socketPath}: ${err.message}`, err));
    });
  });
  await chmod(socketPath, 0o600);
}

async function removeStaleSocket(socketPath: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect(socketPath, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
  if (answers) throw criError('already-exists', `serve CRI on ${socketPath}: another process serves there`);
  const found = await lstat(socketPath).catch(() => undefined);
  if (found !== undefined && !found.isSocket()) {
    throw criError('invalid-argument', `serve CRI on ${socketPath}: there is something that is not a socket`);
  }
  await rm(socketPath, { force: true });
}

async function shutDown(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, drainMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
