import type { IncomingMessage } from 'node:http';
import { errorText } from '../../../../base/errors.js';
import type { Logger } from '../../../../base/log.js';
import { linkSignal, onAbort } from '../../../../base/signals.js';
import type { ContainerIo } from '../../../../cri/index.js';
import {
  acceptCommand,
  acceptPortForward,
  StreamingError,
  type CommandOutcome,
  type CommandStreams,
} from '../../../../cri/streaming/index.js';
import { HttpError } from '../http-error.js';
import type { ApiCall, StreamHandlers, StreamSession } from './call.js';
import { requirePod, runningContainer, type Host } from './find-pod.js';
import { commandStreams, forwardedPorts } from './stream-params.js';

/** `/exec`, `/attach`, `/portForward`: everything that can be refused is refused before the connection is taken over. */
export function streamHandlers(host: Host, log: Logger): StreamHandlers {
  const { streaming } = host.runtime;
  return {
    exec: (call) => {
      const cmd = call.query.getAll('command');
      const streams = commandStreams(call.query);
      const { id: containerId } = runningContainer(requirePod(host, call.params), call.params['container'] ?? '');
      if (cmd.length === 0) throw new HttpError(400, 'you must specify a command');
      return session(call, streams, log, async (io, signal) => {
        const { exitCode } = await streaming.exec({ containerId, cmd, ...streams }, io, signal);
        return { kind: 'exited', exitCode };
      });
    },
    attach: (call) => {
      const streams = commandStreams(call.query);
      const { id: containerId, spec } = runningContainer(requirePod(host, call.params), call.params['container'] ?? '');
      // The container has a terminal or it has not, and reads its input or does not; the caller cannot choose.
      const tty = spec?.tty === true;
      const stdin = streams.stdin && spec?.stdin === true;
      return session(call, streams, log, async (io, signal) => {
        const wanted = { ...streams, tty, stdin, stderr: streams.stderr && !tty };
        const { stdout, resize } = io;
        if (!stdin) io.stdin?.resume();
        const own = {
          stdout,
          resize,
          stdin: stdin ? io.stdin : undefined,
          stderr: wanted.stderr ? io.stderr : undefined,
        };
        await streaming.attach({ containerId, ...wanted }, own, signal);
        return { kind: 'exited', exitCode: 0 };
      });
    },
    portForward: (call) => {
      const ports = isChannelRequest(call.request) ? forwardedPorts(call.query) : [];
      const { observed, pod } = requirePod(host, call.params);
      const sandbox = observed?.sandboxes.find(({ ready }) => ready);
      if (!sandbox) throw new HttpError(404, `pod not found ("${pod.metadata?.name ?? ''}")`);
      const { id: podSandboxId } = sandbox;
      requireUpgrade(call.request);
      return (socket, head, lifetime) =>
        acceptPortForward(call.request, socket, head, ports, async (port, connection, gone) => {
          using link = linkSignal(gone);
          const unlink = onAbort(lifetime, () => link.abort(lifetime.reason));
          try {
            await streaming.portForward({ podSandboxId, port }, connection, link.signal);
          } finally {
            unlink();
          }
        });
    },
  };
}

type Run = (io: ContainerIo, signal: AbortSignal) => Promise<CommandOutcome>;

function session(call: ApiCall, streams: CommandStreams, log: Logger, run: Run): StreamSession {
  requireUpgrade(call.request);
  return async (socket, head, lifetime) => {
    const accepted = await acceptCommand(call.request, socket, head, streams, lifetime);
    using link = linkSignal(lifetime);
    const unlink = onAbort(accepted.gone, () => link.abort(new DOMException('the client went', 'AbortError')));
    let outcome: CommandOutcome;
    try {
      outcome = await run(accepted.io, link.signal);
    } catch (err) {
      if (accepted.gone.aborted) return;
      log.debug({ path: call.request.url?.split('?')[0], err: errorText(err) }, 'a command of a client failed');
      outcome = { kind: 'failed', message: errorText(err) };
    } finally {
      unlink();
    }
    await accepted.finish(outcome);
  };
}

function requireUpgrade(request: IncomingMessage): void {
  if (request.headers.upgrade === undefined) throw new HttpError(400, 'Upgrade request required');
}

/** WebSocket clients that do not tunnel SPDY name their ports in the query. */
function isChannelRequest({ headers }: IncomingMessage): boolean {
  return (
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-protocol']?.includes('SPDY/3.1+portforward.k8s.io') !== true
  );
}

/** The client broke its own protocol or left: it knows. */
export const isClientFault = (err: unknown): boolean => err instanceof StreamingError;
