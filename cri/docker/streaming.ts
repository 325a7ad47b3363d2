import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { linkSignal } from '../../base/signals.js';
import { criError } from '../contract/cri-error.js';
import type { StreamingService } from '../contract/streaming-service.js';
import { listeningAddress } from '../streaming/listening-address.js';
import { findContainer } from './find-container.js';
import { carry, execInContainer, resize } from './exec.js';
import type { DockerContext } from './options.js';
import { findSandbox } from './sandboxes.js';

export function dockerStreamingService(context: DockerContext): StreamingService {
  return {
    exec: (request, io, signal) => execInContainer(context, request, io, signal),
    async attach(request, io, signal) {
      const container = await findContainer(context, request.containerId, signal);
      if (!container.State.Running) {
        throw criError('failed-precondition', `attach to ${container.Id}: the container does not run`);
      }
      using connecting = linkSignal(signal);
      const query = {
        stream: true,
        stdin: io.stdin !== undefined,
        stdout: io.stdout !== undefined,
        stderr: io.stderr !== undefined,
      };
      const path = `/containers/${container.Id}/attach`;
      // The body says nothing new: with an empty one the transport would not send the request before the first input.
      const connection = await context.api.hijack(
        { method: 'POST', path, query, body: query, verb: `attach to ${container.Id}` },
        connecting.signal,
      );
      try {
        const sizes = `/containers/${container.Id}/resize`;
        await carry(connection, io, container.Config.Tty, (size) => resize(context.api, sizes, size, signal), signal);
        signal.throwIfAborted();
      } finally {
        connection.destroy();
      }
    },
    async portForward({ podSandboxId, port }, connection, signal) {
      const { inspected, config } = await findSandbox(context, podSandboxId, signal);
      if (!inspected.State.Running)
        throw criError('failed-precondition', `forward port ${port}: the sandbox does not run`);
      const pid = inspected.State.Pid;
      const host = await findListener(pid, port);
      if (host === undefined)
        throw criError('failed-precondition', `forward port ${port}: nothing listens on it in sandbox ${podSandboxId}`);
      const remote = config.namespaces.network === 'NODE' ? hostSocket(host, port) : insideNetns(pid, host, port);
      await join(connection, remote, signal);
    },
  };
}

async function findListener(pid: number, port: number): Promise<string | undefined> {
  const [tcp, tcp6, addresses] = await Promise.all([table(pid, 'tcp'), table(pid, 'tcp6'), table(pid, 'if_inet6')]);
  return listeningAddress({ tcp, tcp6, addresses }, port);
}

async function table(pid: number, name: string): Promise<string> {
  return await readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => '');
}

interface Remote {
  readonly readable: Readable;
  readonly writable: Writable;
  readonly close: () => void;
}

function hostSocket(host: string, port: number): Remote {
  const socket = connect({ host, port, allowHalfOpen: true });
  return { readable: socket, writable: socket, close: () => socket.destroy() };
}

/** A connection from inside the sandbox's network. */
function insideNetns(pid: number, host: string, port: number): Remote {
  const target = host === '::1' ? `TCP6:[::1]:${port}` : `TCP4:127.0.0.1:${port}`;
  const child = spawn('nsenter', [`--net=/proc/${pid}/ns/net`, '--', 'socat', '-t', '10', '-', target], {
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  child.on('error', () => child.stdout.destroy());
  const close = (): void => {
    child.stdin.destroy();
    child.stdout.destroy();
    child.kill('SIGKILL');
  };
  return { readable: child.stdout, writable: child.stdin, close };
}

/** Until the pod's side ended, or the client's is gone; an end of what the client says is passed on. */
async function join(client: Duplex, remote: Remote, signal: AbortSignal): Promise<void> {
  using ending = linkSignal(signal);
  client.once('close', () => ending.abort(new Error('the client is gone')));
  client.on('error', () => {});
  remote.writable.on('error', () => {});
  client.pipe(remote.writable);
  try {
    await pipeline(remote.readable, client, { signal: ending.signal });
  } catch {
    // Either side closed; that is the end, not a failure.
  } finally {
    client.unpipe(remote.writable);
    remote.close();
  }
  signal.throwIfAborted();
}
