import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { criError } from '../contract/cri-error.js';
import { listeningAddress } from './listening-address.js';

/** How long the other direction may go on after one side closed its half. */
const halfClosedMs = 10_000;

export interface ForwardTarget {
  /** For the message of a failure. */
  readonly sandboxId: string;
  readonly port: number;
  /** Whose network the port is in: `/proc/PID/net` of a process there; undefined where nothing runs that could listen. */
  readonly procNet: string | undefined;
  /** The namespace of a network that is not the machine's. */
  readonly netnsPath: string | undefined;
}

/**
 * One connection to a port on a sandbox's loopback, until either side closed; `failed-precondition` when nothing listens there. The signal
 * closes both.
 */
export async function forwardConnection(client: Duplex, target: ForwardTarget, signal: AbortSignal): Promise<void> {
  const { port, sandboxId, netnsPath } = target;
  signal.throwIfAborted();
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw criError('invalid-argument', `forward port ${port}: not a port`);
  }
  const host = target.procNet === undefined ? undefined : await findListener(target.procNet, port);
  if (host === undefined) {
    throw criError('failed-precondition', `forward port ${port}: nothing listens on it in sandbox ${sandboxId}`);
  }
  await join(client, netnsPath === undefined ? onMachine(host, port) : inNamespace(netnsPath, host, port), signal);
}

type Loopback = '127.0.0.1' | '::1';

async function findListener(procNet: string, port: number): Promise<Loopback | undefined> {
  const [tcp, tcp6, addresses] = await Promise.all(
    ['tcp', 'tcp6', 'if_inet6'].map(async (name) => await table(`${procNet}/${name}`)),
  );
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

function onMachine(host: Loopback, port: number): Remote {
  const socket = connect({ host, port, allowHalfOpen: true });
  return { readable: socket, writable: socket, close: () => socket.destroy() };
}

function inNamespace(netnsPath: string, host: Loopback, port: number): Remote {
  const address = host === '::1' ? `TCP6:[::1]:${port}` : `TCP4:127.0.0.1:${port}`;
  // The pod's end is passed on at once (socat keeps its output open otherwise); the client's is, and leaves time for an answer.
  const argv = [`--net=${netnsPath}`, '--', 'socat', '-t', String(halfClosedMs / 1000), '-,shut-close', address];
  const child = spawn('nsenter', argv, {
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  child.on('error', () => {});
  const close = (): void => {
    child.stdin.destroy();
    child.stdout.destroy();
    child.kill('SIGKILL');
  };
  return { readable: child.stdout, writable: child.stdin, close };
}

/** Copies both ways until the remote side ended, or the client did and the remote was quiet too long; then everything is closed. */
function join(client: Duplex, { readable, writable, close }: Remote, signal: AbortSignal): Promise<void> {
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
