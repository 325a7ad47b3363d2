import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import { programEnv } from '../host/oci-program.js';
import { sandboxState } from '../sandboxes/sandbox-status.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';
import { listeningAddress } from '../../streaming/listening-address.js';

/** How long the other direction may go on after one side closed its half. */
const halfClosedMs = 10_000;

/** One connection to a port on the sandbox's loopback. */
export async function forwardPort(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  port: number,
  connection: Duplex,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw criError('invalid-argument', `forward port ${port}: not a port`);
  }
  if (sandboxState(context, sandbox) !== 'SANDBOX_READY') {
    throw criError('failed-precondition', `forward port ${port}: sandbox ${sandbox.id} is not ready`);
  }
  const host = await findListener(sandbox, port);
  if (host === undefined) {
    throw criError('failed-precondition', `forward port ${port}: nothing listens on it in sandbox ${sandbox.id}`);
  }
  if (sandbox.record.network === 'NODE') {
    const socket = connect({ host, port, allowHalfOpen: true });
    await join(connection, { readable: socket, writable: socket, close: () => socket.destroy() }, signal);
    return;
  }
  const target = host === '::1' ? `TCP6:[::1]:${port}` : `TCP4:127.0.0.1:${port}`;
  const netns = `--net=${context.layout.namespace(sandbox.id, 'net')}`;
  // The pod's end is passed on at once (socat keeps its output open otherwise); the client's is, and leaves time for an answer.
  const child = spawn('nsenter', [netns, '--', 'socat', '-t', '10', '-,shut-close', target], {
    env: programEnv,
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  child.on('error', () => {});
  const close = (): void => {
    child.stdin.destroy();
    child.stdout.destroy();
    child.kill('SIGKILL');
  };
  await join(connection, { readable: child.stdout, writable: child.stdin, close }, signal);
}

/** The tables of any process in the namespace tell; without one nothing can listen. */
async function findListener(sandbox: SandboxEntry, port: number): Promise<'127.0.0.1' | '::1' | undefined> {
  const inside = [...sandbox.containers].map((entry) => entry.init).find((init) => init !== undefined);
  const proc = sandbox.record.network === 'NODE' ? '/proc/self/net' : `/proc/${inside?.pid ?? 0}/net`;
  if (sandbox.record.network !== 'NODE' && inside === undefined) return undefined;
  const [tcp, tcp6, addresses] = await Promise.all(['tcp', 'tcp6', 'if_inet6'].map((name) => table(`${proc}/${name}`)));
  return listeningAddress({ tcp, tcp6, addresses }, port);
}

async function table(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // No IPv6, or the process has just ended.
    return '';
  }
}

interface Remote {
  readonly readable: Readable;
  readonly writable: Writable;
  readonly close: () => void;
}

/** Copies both ways until the remote side ended, or the client did and the remote was quiet too long; then everything is closed. */
function join(client: Duplex, remote: Remote, signal: AbortSignal): Promise<void> {
  const { readable, writable, close } = remote;
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let finished = false;
    const finish = (): void => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      client.unpipe(writable);
      readable.unpipe(client);
      close();
      if (signal.aborted) {
        client.destroy();
        reject(signal.reason as Error);
      } else {
        client.end();
        resolve();
      }
    };
    signal.addEventListener('abort', finish, { once: true });
    client.once('end', () => {
      timer ??= setTimeout(finish, halfClosedMs);
    });
    client.once('close', finish);
    client.on('error', finish);
    readable.once('end', finish);
    readable.once('close', finish);
    readable.on('error', finish);
    writable.on('error', finish);
    client.pipe(writable);
    readable.pipe(client, { end: false });
  });
}
