import { errorText } from '../../base/errors.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { CriError, criError } from '../contract/cri-error.js';
import type { ContainerIo, StreamingService } from '../contract/streaming-service.js';
import { StreamingError, connectCommand, connectPortForward, type CommandOutcome } from '../streaming/index.js';
import type { CriClient } from './cri-client.js';
import { recordObject } from './recorded-request.js';
import type { RemoteTimeouts } from './timeouts.js';

/** Asks the runtime for a URL, then carries the streams over it. */
export function remoteStreamingService(
  client: CriClient<v1.RuntimeServiceMethods>,
  timeouts: RemoteTimeouts,
): StreamingService {
  const recorded = (object: string | undefined, request: unknown) => ({
    deadlineMs: timeouts.requestMs,
    record: recordObject(object, request),
  });
  return {
    async exec(request, io, signal) {
      const wanted = wantedStreams(request, io);
      const { url } = await client.call('exec', wanted, recorded(request.containerId, wanted), signal);
      const outcome = await translated(
        'exec',
        () => connectCommand(parseUrl('exec', url), io, wanted.tty, signal),
        signal,
      );
      return { exitCode: exitCode('exec', outcome) };
    },
    async attach(request, io, signal) {
      const wanted = wantedStreams(request, io);
      const { url } = await client.call('attach', wanted, recorded(request.containerId, wanted), signal);
      const outcome = await translated(
        'attach',
        () => connectCommand(parseUrl('attach', url), io, wanted.tty, signal),
        signal,
      );
      exitCode('attach', outcome);
    },
    async portForward({ podSandboxId, port }, connection, signal) {
      const request = { podSandboxId, port: [port] };
      const { url } = await client.call('portForward', request, recorded(podSandboxId, request), signal);
      await translated(
        'port-forward',
        () => connectPortForward(parseUrl('port-forward', url), port, connection, signal),
        signal,
      );
    },
  };
}

/** The streams that are really there decide, so that both ends count the same number. */
function wantedStreams<R extends v1.ExecRequest | v1.AttachRequest>(
  request: R,
  io: ContainerIo,
): R & Required<Pick<v1.AttachRequest, 'tty' | 'stdin' | 'stdout' | 'stderr'>> & { tty: boolean } {
  const tty = request.tty === true;
  const wanted = {
    tty,
    stdin: io.stdin !== undefined,
    stdout: io.stdout !== undefined,
    stderr: io.stderr !== undefined && !tty,
  };
  return { ...request, ...wanted };
}

function parseUrl(verb: string, url: string | undefined): URL {
  try {
    return new URL(url ?? '');
  } catch (err) {
    throw criError('internal', `${verb}: the runtime answered a URL that cannot be read: ${url ?? ''}`, err);
  }
}

function exitCode(verb: string, outcome: CommandOutcome): number {
  if (outcome.kind === 'exited') return outcome.exitCode;
  throw criError('unknown', `${verb}: ${outcome.message}`);
}

const nothingListens = /connection refused|refused the connection|nothing listens|failed to connect to/i;

async function translated<T>(verb: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (err) {
    signal.throwIfAborted();
    if (err instanceof CriError) throw err;
    throw criError(streamingCode(err), `${verb}: ${errorText(err)}`, err);
  }
}

function streamingCode(err: unknown): 'unavailable' | 'failed-precondition' | 'unknown' | 'not-found' {
  if (!(err instanceof StreamingError)) return 'unavailable';
  const { failure } = err;
  switch (failure.code) {
    case 'refused':
      return failure.status === 404 ? 'not-found' : 'unknown';
    case 'closed':
      return 'unavailable';
    case 'protocol':
      return 'unknown';
    case 'failed':
      return nothingListens.test(failure.reason) ? 'failed-precondition' : 'unknown';
  }
}
