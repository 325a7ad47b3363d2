import { createServer, type Server, type Socket } from 'node:net';
import { errorText } from '../../../base/errors.js';
import { FrameConnection, frameTypes, type StreamEnd } from '../../serving/framed-stream/index.js';
import type { Pod } from '../../api/index.js';
import { allContainers } from '../../api/pod-containers.js';
import type { PodView } from '../../serving/node-api/index.js';
import { apiPath, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { podName } from '../resource.js';

export interface PortForwardFlags extends ClientFlags {
  readonly namespace?: string | undefined;
  readonly address?: string | undefined;
}

interface Forward {
  readonly local: number;
  readonly remote: number;
}

/** Listens here and passes each connection to a port of the pod until Ctrl-C. */
export async function portForward(
  pod: string,
  ports: readonly string[],
  flags: PortForwardFlags,
  context: CommandContext,
): Promise<number> {
  const { client, out, signal } = context;
  const name = podName(pod);
  const wanted = ports.map((port) => parsePorts(port));
  const path = apiPath('/v1/pods/{}/{}', flags.namespace ?? 'default', name);
  // A pod that is not there is an error before anything listens.
  const { pod: found } = await client.get<PodView>(path);
  const forwards = wanted.map((each) => numbered(each, found));
  const addresses = (flags.address ?? 'localhost')
    .split(',')
    .flatMap((each) => (each === 'localhost' ? ['127.0.0.1', '::1'] : [each]));
  const servers: Server[] = [];
  try {
    for (const { local, remote } of forwards) {
      let port = local;
      for (const address of addresses) {
        const server = createServer((socket) => void forward(socket, remote, `${path}/portforward`, context));
        const listening = await listen(server, port, address);
        // Not every machine has IPv6 on loopback.
        if (listening === undefined) continue;
        servers.push(server);
        // `:80` lets the system choose once; both families then have the same port.
        port = listening;
        out.write(`Forwarding from ${address.includes(':') ? `[${address}]` : address}:${port} -> ${remote}\n`);
      }
    }
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    return 0;
  } finally {
    for (const server of servers) server.close();
    // Open connections end with the process.
    setImmediate(() => process.exit());
  }
}

interface WantedForward {
  /** Undefined: the same as in the pod. */
  readonly local: number | undefined;
  readonly remote: number | string;
}

/** `80`, `8080:80`, `:80`, `http`, `8080:http`. */
function parsePorts(text: string): WantedForward {
  const match = /^(?:(\d*):)?(?:(\d+)|([a-z0-9-]*[a-z][a-z0-9-]*))$/.exec(text);
  const [, before, number, name] = match ?? [];
  const remote = name ?? Number(number);
  const local = before === undefined ? undefined : Number(before);
  const isPort = typeof remote === 'string' || (remote >= 1 && remote <= 65_535);
  if (!match || !isPort || (local ?? 0) > 65_535)
    throw usage(`read port ${JSON.stringify(text)}: expected PORT, LOCAL:PORT or :PORT`);
  return { local, remote };
}

/** Names are those of the ports of the pod's containers. */
function numbered({ local, remote }: WantedForward, pod: Pod): Forward {
  if (typeof remote === 'number') return { local: local ?? remote, remote };
  const ports = allContainers(pod).flatMap(({ container }) => container.ports ?? []);
  const found = ports.find(({ name }) => name === remote)?.containerPort;
  if (found === undefined) {
    const names = ports.flatMap(({ name }) => name ?? []).join(', ');
    throw usage(`forward port ${remote}: pod "${pod.metadata?.name ?? ''}" names ${names || 'none of its ports'}`);
  }
  return { local: local ?? found, remote: found };
}

function listen(server: Server, port: number, address: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    server.once('error', (err: NodeJS.ErrnoException) => {
      if (address === '::1' && (err.code === 'EADDRNOTAVAIL' || err.code === 'EAFNOSUPPORT')) resolve(undefined);
      else reject(usage(`listen on ${address}:${port}: ${err.message}`));
    });
    server.listen(port, address, () => {
      const found = server.address();
      resolve(typeof found === 'object' && found ? found.port : port);
    });
  });
}

async function forward(local: Socket, port: number, path: string, { client, out, err }: CommandContext): Promise<void> {
  local.on('error', () => {});
  local.pause();
  try {
    out.write(`Handling connection for ${port}\n`);
    const { socket, head } = await client.upgrade(path, { port }, new AbortController().signal);
    const connection = new FrameConnection(socket);
    connection.listen(({ type, payload }) => {
      if (type === frameTypes.stdout) return keepPace(local.write(payload), local, connection);
      if (type === frameTypes.eof) local.end();
      if (type === frameTypes.end) {
        const end = JSON.parse(payload.toString('utf8')) as StreamEnd;
        if (end.error) err.write(`error: forward to port ${port}: ${end.error.message}\n`);
        local.end();
      }
      return true;
    }, head);
    local.pipe(connection.writable(frameTypes.stdin));
    local.once('end', () => connection.send(frameTypes.eof, Buffer.alloc(0)));
    local.once('close', () => connection.end());
    void connection.closed.then(() => local.destroySoon());
  } catch (failure) {
    err.write(`error: forward to port ${port}: ${errorText(failure)}\n`);
    local.destroy();
  }
}

function keepPace(taken: boolean, local: Socket, connection: FrameConnection): boolean {
  if (!taken) local.once('drain', () => connection.resume());
  return taken;
}
