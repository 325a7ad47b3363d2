import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { longestSocketPath } from './unix-client.js';
import type { Server, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

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

/** A gRPC server on a unix socket; what a killed predecessor left at the path is removed first. */
export class UnixServer implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
  }

  static async listen(path: string, services: readonly ServedService[], folderMode: number): Promise<UnixServer> {
    if (Buffer.byteLength(path) > longestSocketPath) {
      throw new Error(`${path} is longer than the ${longestSocketPath} bytes of a unix socket address`);
    }
    const { Server, ServerCredentials } = await import('@grpc/grpc-js');
    await mkdir(dirname(path), { recursive: true, mode: folderMode });
    await rm(path, { force: true });
    const server = new Server();
    for (const service of services) server.addService(service.definition, implementation(service));
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve()));
    });
    return new UnixServer(path, server);
  }

  /** Ends open calls; the socket goes with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    await rm(this.path, { force: true });
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
