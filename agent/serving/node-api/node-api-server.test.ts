import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger } from '../../../base/log.js';
import { criError } from '../../../cri/index.js';
import { NodeApiClient } from '../../cli/client/index.js';
import { FrameConnection, frameTypes, readableFrames } from '../framed-stream/index.js';
import { ApiError } from './api-error.js';
import { claimSocket } from './claim-socket.js';
import { NodeApiServer } from './node-api-server.js';
import { readBody, value, type Route } from './route.js';
import { lineStream } from './watch-lines.js';

let dir: string;
let server: NodeApiServer;
let client: NodeApiClient;
const never = new AbortController().signal;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-api-'));
  server = new NodeApiServer({ log: silentLogger });
  await claimSocket(server.http, join(dir, 'api.sock'));
  client = new NodeApiClient(join(dir, 'api.sock'));
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

const failing = (path: string, err: Error): Route => ({ method: 'GET', path, handle: () => Promise.reject(err) });

test('before the agent is there, every call is told so', async () => {
  await expect(client.get('/v1/pods')).rejects.toMatchObject({
    failure: { status: 503, reason: 'ServiceUnavailable' },
  });
});

test('failures become the statuses Kubernetes gives them', async () => {
  server.serve([
    failing('/a', new ApiError('NotFound', 'no such thing')),
    failing('/b', criError('invalid-argument', 'bad id')),
    failing('/c', criError('unavailable', 'away')),
    failing('/d', new Error('a fault')),
  ]);
  for (const [path, status] of [
    ['/a', 404],
    ['/b', 400],
    ['/c', 503],
    ['/d', 500],
    ['/e', 404],
  ] as const)
    await expect(client.get(path)).rejects.toMatchObject({ failure: { status } });
  await expect(client.post('/a')).rejects.toMatchObject({ failure: { status: 405 } });
});

test('a command may be as long as one that a shell passes on', async () => {
  const script = 'echo "a line";'.repeat(8000);
  const path = '/echo';
  server.serve([
    { method: 'GET', path, handle: ({ query }) => Promise.resolve(value(query.getAll('command').at(-1)?.length)) },
  ]);
  expect(await client.get(path, { command: ['sh', '-c', script] })).toBe(script.length);
});

test('a body that is too large is refused, whether it is read or not', async () => {
  server.serve([
    {
      method: 'POST',
      path: '/read',
      handle: async ({ raw }) => value((await readBody(raw, 1000)).length),
    },
    { method: 'POST', path: '/ignore', handle: () => Promise.reject(new ApiError('Conflict', 'not now')) },
  ]);
  expect(await client.post('/read', {}, 'x'.repeat(1000))).toBe(1000);
  await expect(client.post('/read', {}, 'x'.repeat(1001))).rejects.toMatchObject({ failure: { status: 413 } });
  await expect(client.post('/ignore', {}, 'x'.repeat(100_000))).rejects.toMatchObject({ failure: { status: 409 } });
});

test('a watch ends its subscription when the client goes, and with the server', async () => {
  let subscribed = 0;
  server.serve([
    {
      method: 'GET',
      path: '/watch',
      handle: () =>
        lineStream((sink) => {
          subscribed++;
          sink.line({ n: 1 });
          return { [Symbol.dispose]: () => void subscribed-- };
        }),
    },
  ]);
  const call = { method: 'GET', path: '/watch' } as const;
  for await (const line of client.lines(call, never)) {
    expect([line, subscribed]).toEqual([{ n: 1 }, 1]);
    break;
  }
  await vi.waitFor(() => expect(subscribed).toBe(0), 20_000);
  const watching = client.lines(call, never);
  await watching.next();
  await server[Symbol.asyncDispose]();
  await expect(watching.next()).rejects.toThrow('it went away');
  server = new NodeApiServer({ log: silentLogger });
});

const echo: Route = {
  method: 'POST',
  path: '/echo',
  prepare: ({ query }) => {
    if (query.get('no') !== null) throw new ApiError('Conflict', 'not this one');
    return async (connection, head) => {
      const input = readableFrames(connection);
      connection.listen(({ type, payload }) => {
        if (type === frameTypes.eof) input.stream.push(null);
        return type === frameTypes.stdin ? input.give(payload) : true;
      }, head);
      const out = connection.writable(frameTypes.stdout);
      for await (const chunk of input.stream as AsyncIterable<Buffer>) out.write(chunk);
      return { exitCode: 3 };
    };
  },
};

test('a stream: what is refused is an answer, what ends is the last frame', async () => {
  server.serve([echo]);
  await expect(client.upgrade('/echo', { no: '' }, never)).rejects.toMatchObject({ failure: { status: 409 } });
  await expect(client.post('/echo')).rejects.toMatchObject({ failure: { status: 426 } });
  const { socket, head } = await client.upgrade('/echo', {}, never);
  const connection = new FrameConnection(socket);
  const seen: string[] = [];
  connection.listen(({ type, payload }) => {
    seen.push(`${type} ${payload.toString('utf8')}`);
    return true;
  }, head);
  connection.send(frameTypes.stdin, Buffer.from('hello'));
  connection.send(frameTypes.eof, Buffer.alloc(0));
  await connection.closed;
  expect(seen).toEqual(['1 hello', '4 {"exitCode":3}']);
});

test('a client that dies is noticed, also while its input waits', async () => {
  let gone = false;
  server.serve([
    {
      method: 'POST',
      path: '/deaf',
      prepare: () => async (connection, head, signal) => {
        const input = readableFrames(connection);
        connection.listen(({ payload }) => input.give(payload), head);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
        gone = true;
        return {};
      },
    },
  ]);
  const { socket } = await client.upgrade('/deaf', {}, never);
  const connection = new FrameConnection(socket);
  for (let n = 0; n < 50; n++) connection.send(frameTypes.stdin, Buffer.alloc(64 * 1024));
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
  await vi.waitFor(() => expect(gone).toBe(true), 20_000);
});

test('what is no HTTP is cut off and hurts nobody', async () => {
  server.serve([echo]);
  const raw = createConnection(join(dir, 'api.sock'));
  raw.on('error', () => {});
  raw.end('\u0000\u0001 nonsense\r\n\r\n');
  raw.resume();
  await once(raw, 'close');
  await expect(client.get('/nothing')).rejects.toMatchObject({ failure: { status: 404 } });
});
