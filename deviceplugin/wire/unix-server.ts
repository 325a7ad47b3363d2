import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Server as SocketServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { ConnectionInjector, Server, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { loadGrpc } from '../../proto/load.js';
import { longestSocketPath } from '../../proto/wire/index.js';
import { ClientConnection } from './client-connection.js';

type Services = readonly ServedService[] | (() => Promise<readonly ServedService[]>);
type Method = (request: object) => Promise<object>;
type Reply = (err: { code: number; details: string } | null, response?: object) => void;

/** One service of a gRPC server: its methods as async functions; what they throw becomes the status. */
export interface ServedService {
  readonly definition: ServiceDefinition;
  readonly methods: Readonly<Record<string, Method>>;
  /** Methods that stay open: they send until the peer goes. */
  readonly streams?: Readonly<Record<string, (call: ServedStream, request: object) => void>> | undefined;
}

export interface ServedStream {
  write(message: object): void;
  end(): void;
  on(event: 'cancelled' | 'close' | 'error', listener: () => void): void;
}

/** Thrown by a method to choose the gRPC status; anything else becomes UNKNOWN, as with gRPC in Go. */
export class StatusError extends Error {
  readonly grpcCode: number;

  constructor(grpcCode: number, message: string) {
    super(message);
    this.grpcCode = grpcCode;
  }
}

interface Answering {
  readonly server: Server;
  readonly injector: ConnectionInjector;
}

/**
 * A gRPC server on a unix socket; what a killed predecessor left at the path is removed first. The gRPC library and the services
 * (250 ms of CPU, 20 MB) are loaded when somebody connects: most nodes listen for plugins that never come.
 */
export class UnixServer implements AsyncDisposable {
  readonly path: string;
  readonly #sockets: SocketServer;
  readonly #services: Services;
  readonly #waiting = new Set<Socket>();
  #answering: Promise<Answering> | undefined;
  #closed = false;

  private constructor(path: string, services: Services) {
    this.path = path;
    this.#services = services;
    // Paused: what a client sends before the library is there must wait in the kernel.
    this.#sockets = createServer({ pauseOnConnect: true }, (socket) => void this.#take(socket));
  }

  static async listen(path: string, services: Services, folderMode: number): Promise<UnixServer> {
    if (Buffer.byteLength(path) > longestSocketPath) {
      throw new Error(`${path} is longer than the ${longestSocketPath} bytes of a unix socket address`);
    }
    await mkdir(dirname(path), { recursive: true, mode: folderMode });
    await rm(path, { force: true });
    const server = new UnixServer(path, services);
    await new Promise<void>((resolve, reject) => {
      server.#sockets.once('error', reject);
      server.#sockets.listen(path, () => {
        server.#sockets.off('error', reject);
        resolve();
      });
    });
    return server;
  }

  /** Ends open calls; the socket goes with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#sockets.close();
    for (const socket of this.#waiting) socket.destroy();
    const answering = await this.#answering?.catch(() => undefined);
    answering?.injector.destroy();
    answering?.server.forceShutdown();
    await rm(this.path, { force: true });
  }

  async #take(socket: Socket): Promise<void> {
    this.#waiting.add(socket);
    // A client that goes before it was answered.
    const onError = (): void => {};
    socket.on('error', onError);
    try {
      this.#answering ??= this.#load();
      const { injector } = await this.#answering;
      socket.off('error', onError);
      if (this.#closed || socket.destroyed) {
        socket.destroy();
        return;
      }
      injector.injectConnection(new ClientConnection(socket));
    } catch {
      // The client sees a broken connection and comes again; so does the next try to load.
      this.#answering = undefined;
      socket.destroy();
    } finally {
      this.#waiting.delete(socket);
    }
  }

  async #load(): Promise<Answering> {
    const services = typeof this.#services === 'function' ? await this.#services() : this.#services;
    const grpc = loadGrpc();
    const server = new grpc.Server();
    for (const service of services) server.addService(service.definition, implementation(service));
    return { server, injector: server.createConnectionInjector(grpc.ServerCredentials.createInsecure()) };
  }
}

function implementation(service: ServedService): UntypedServiceImplementation {
  const handlers: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(service.methods)) {
    handlers[name] = (call: { request: object }, reply: Reply) => {
      method(call.request).then(
        (response) => reply(null, response),
        (err: unknown) => reply(statusOf(err)),
      );
    };
  }
  for (const [name, stream] of Object.entries(service.streams ?? {})) {
    handlers[name] = (call: ServedStream & { request: object }) => stream(call, call.request);
  }
  return handlers;
}

const unknown = 2;

function statusOf(err: unknown): { code: number; details: string } {
  const details = err instanceof Error ? err.message : String(err);
  return { code: err instanceof StatusError ? err.grpcCode : unknown, details };
}
