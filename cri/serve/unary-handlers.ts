import type { ServerUnaryCall, UntypedServiceImplementation, sendUnaryData } from '@grpc/grpc-js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { linkSignal } from '../../base/signals.js';
import { wireErrorFromCri } from '../remote/grpc-status.js';

export type UnaryVerb = (request: never, signal: AbortSignal) => Promise<unknown>;

/** gRPC handlers for verbs of the contract; the signal of a call aborts when its client gives up or the server closes. */
export function unaryHandlers(
  verbs: Readonly<Record<string, UnaryVerb>>,
  log: Logger,
  closing: AbortSignal,
): UntypedServiceImplementation {
  const handlers: UntypedServiceImplementation = {};
  for (const [name, verb] of Object.entries(verbs)) {
    handlers[name] = (call: ServerUnaryCall<unknown, unknown>, reply: sendUnaryData<unknown>): void => {
      void answer(name, verb, call, reply, log, closing);
    };
  }
  return handlers;
}

async function answer(
  name: string,
  verb: UnaryVerb,
  call: ServerUnaryCall<unknown, unknown>,
  reply: sendUnaryData<unknown>,
  log: Logger,
  closing: AbortSignal,
): Promise<void> {
  using ending = linkSignal(closing);
  call.on('cancelled', () => ending.abort(new Error('the client gave up')));
  try {
    reply(null, await verb(call.request as never, ending.signal));
  } catch (err) {
    if (!ending.signal.aborted) log.debug({ verb: name, err: errorText(err) }, 'call failed');
    reply(wireErrorFromCri(err));
  }
}
