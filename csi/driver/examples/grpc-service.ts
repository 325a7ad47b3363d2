import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Faults } from './faults.js';

/** The methods of one service as async functions, typed by the generated `...Methods`; what is left out is Unimplemented. */
export type Service<M extends { readonly [K in keyof M]: { request: object; response: object } }> = {
  readonly [K in keyof M]?: (request: M[K]['request']) => Promise<M[K]['response']>;
};

type Method = (request: object) => Promise<object>;
type Reply = (err: { code: number; details: string } | null, response?: object) => void;

/** Turns async methods into handlers of gRPC: what is thrown becomes the status, with the fault switches around the deed. */
export function implement(service: object, faults: Faults): UntypedServiceImplementation {
  const handlers: Record<string, (call: { request: object }, reply: Reply) => void> = {};
  for (const [name, method] of Object.entries(service) as Array<[string, Method]>) {
    const rpc = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
    handlers[name] = (call, reply) => {
      answer(rpc, method, call.request, faults).then(
        (response) => reply(null, response),
        (err: unknown) => reply(statusOf(err)),
      );
    };
  }
  return handlers;
}

async function answer(rpc: string, method: Method, request: object, faults: Faults): Promise<object> {
  await faults.at(rpc, 'before');
  const response = await method(request);
  await faults.at(rpc, 'after');
  return response;
}

function statusOf(err: unknown): { code: number; details: string } {
  if (!(err instanceof Error)) return { code: 13, details: String(err) };
  return { code: 'code' in err && typeof err.code === 'number' ? err.code : 13, details: err.message };
}

/** Listens on a unix socket; what a killed predecessor left there is removed first. */
export async function listen(
  socketPath: string,
  services: ReadonlyArray<readonly [ServiceDefinition, UntypedServiceImplementation]>,
): Promise<Server> {
  await mkdir(dirname(socketPath), { recursive: true });
  await rm(socketPath, { force: true });
  const server = new Server();
  for (const [definition, implementation] of services) server.addService(definition, implementation);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (err) =>
      err ? reject(err) : resolve(),
    );
  });
  return server;
}
