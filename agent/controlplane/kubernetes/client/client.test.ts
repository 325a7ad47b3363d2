import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../../base/clock.js';
import { silentLogger, type Logger } from '../../../../base/log.js';
import { runProgram } from '../../../../base/run-program.js';
import { ApiClient } from './api-client.js';
import { ApiError, isExpired } from './api-error.js';
import { Backoff } from './backoff.js';
import { parseKubeconfig, type ClusterConfig } from './kubeconfig.js';
import { listAll } from './list-all.js';
import { reflect } from './reflector.js';
import { parseEvent, watchStream, type WatchedObject } from './watch-stream.js';

// Rules of the client itself; that it understands an API server is shown on a real one in test/agent/controlplane.

let server: Server;
let client: ApiClient;
let answer: (url: URL, response: ServerResponse, authorization?: string) => void;
let parsed: ClusterConfig;
const asked: string[] = [];
const logged: string[] = [];
const never = new AbortController().signal;
const clock = { ...systemClock, sleep: (_ms: number, signal: AbortSignal) => systemClock.sleep(1, signal) };

beforeEach(async () => {
  asked.length = 0;
  logged.length = 0;
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(new URL(request.url ?? '', 'http://x'), response, request.headers.authorization);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  parsed = parseKubeconfig(
    {
      'current-context': 'a',
      contexts: [{ name: 'a', context: { cluster: 'c' } }],
      clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}/prefix` } }],
    },
    '/c',
  );
  const note = (_fields: unknown, message?: string): void => void (message !== undefined && logged.push(message));
  const log = { ...silentLogger, warn: note } as Logger;
  client = new ApiClient(parsed, { userAgent: 'test' }, { clock, log, run: runProgram });
});
afterEach(async () => {
  await client[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
});

const send = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, headers);
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
};
const list = (items: unknown[], metadata: object): object => ({
  kind: 'PodList',
  apiVersion: 'v1',
  items,
  metadata: { resourceVersion: '7', ...metadata },
});
const get = { method: 'GET', path: '/api/v1/pods' } as const;

test('a user who is to be taken for another one says so with each request', async () => {
  let headers: NodeJS.Dict<string | string[]> = {};
  server.prependListener('request', (request: IncomingMessage) => (headers = request.headersDistinct));
  answer = (_url, response) => send(response, 200, list([], {}));
  const user = {
    as: 'system:node:a',
    'as-uid': '7',
    'as-groups': ['system:nodes', 'others'],
    'as-user-extra': { 'example.com/Scopes': ['one', 'two'] },
  };
  const config = parseKubeconfig(
    {
      'current-context': 'a',
      contexts: [{ name: 'a', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: parsed.server } }],
      users: [{ name: 'u', user }],
    },
    '/c',
  );
  await using other = new ApiClient(config, { userAgent: 'test' }, { clock, log: silentLogger, run: runProgram });
  await other.json(get, never);
  expect(headers).toMatchObject({
    'impersonate-user': ['system:node:a'],
    'impersonate-uid': ['7'],
    'impersonate-group': ['system:nodes', 'others'],
    'impersonate-extra-example.com%2fscopes': ['one', 'two'],
  });
});

test('asks again when the server says later, and below the path of the server', async () => {
  answer = (_url, response) =>
    asked.length < 3 ? send(response, 429, {}, { 'retry-after': '1' }) : send(response, 200, list([], {}));
  expect(await client.json(get, never)).toMatchObject({ kind: 'PodList' });
  expect(asked).toEqual(['/prefix/api/v1/pods', '/prefix/api/v1/pods', '/prefix/api/v1/pods']);
});

test.each<[string, (response: ServerResponse) => void, object]>([
  [
    'an error status',
    (r) => send(r, 403, { reason: 'Forbidden', message: 'no' }),
    { code: 'status', status: 403, reason: 'Forbidden' },
  ],
  ['an error without a body', (r) => send(r, 500, 'oops'), { code: 'status', status: 500, reason: '' }],
  ['no JSON', (r) => send(r, 200, '<html>'), { code: 'garbage' }],
  ['an object without metadata, for a write', (r) => send(r, 200, { kind: 'Pod', items: 7 }), { code: 'garbage' }],
  ['an object of no kind', (r) => send(r, 200, { metadata: {}, ok: true }), { code: 'garbage' }],
  ['a bare word of JSON', (r) => send(r, 200, '"hello"'), { code: 'garbage' }],
  [
    'an answer that breaks off',
    (r) => {
      r.writeHead(200, { 'content-length': '100' });
      r.write('{');
      setImmediate(() => r.destroy());
    },
    { code: 'unreachable' },
  ],
  ['silence', () => {}, { code: 'timed-out' }],
])('%s is a typed failure', async (_what, respond, failure) => {
  answer = (_url, response) => respond(response);
  // Only a server that says nothing is not waited for: the others have all the time that a busy machine takes.
  const timeoutMs = 'code' in failure && failure.code === 'timed-out' ? 300 : 60_000;
  const failed = await client.json({ ...get, method: 'POST', timeoutMs }, never).catch((err: unknown) => err);
  expect(failed instanceof ApiError && failed.failure).toMatchObject(failure);
});

test.each([
  ['<html>captive portal</html>', 'garbage', 'not a watch event: <html>captive portal'],
  ['<html>\n', 'garbage', 'not a watch event: <html>'],
  ['{"type":"ADDED","obj', 'unreachable', 'cut in the middle of an event'],
])('a watch that answers %s and ends', async (body, code, words) => {
  answer = (_url, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(body);
  };
  const read = async (): Promise<void> => {
    const request = { path: '/api/v1/pods', resourceVersion: '7', timeoutSeconds: 60 };
    for await (const events of watchStream(client, request, never)) expect(events).toEqual([]);
  };
  const failed = await read().catch((err: unknown) => err);
  expect(failed instanceof ApiError && [failed.failure.code, failed.message]).toEqual([
    code,
    expect.stringContaining(words),
  ]);
});

test('a server that is not there is unreachable, and that is told once', async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close').catch(() => {});
  for (let tries = 0; tries < 3; tries++) {
    const failed = await client.json(get, never).catch((err: unknown) => err);
    expect(failed instanceof ApiError && failed.failure.code).toBe('unreachable');
  }
  expect(logged).toEqual(['the API server cannot be used; pods keep running']);
  expect(client.reachability.problem).toContain('ECONNREFUSED');
});

test.each([
  ['is broken', 500],
  ['does not know who asks', 401],
  ['does not allow it', 403],
])(
  'a server that %s and then no longer: whoever waits for another try is woken, and only then',
  async (_what, status) => {
    let recovered = 0;
    using _listener = client.onRecovery(() => recovered++);
    const other = { ...get, path: '/api/v1/nodes' } as const;
    const ask = async (request: typeof get | typeof other): Promise<void> =>
      void (await client.json(request, never).catch(() => {}));
    let refuses = false;
    answer = (url, response) =>
      refuses && url.pathname.endsWith('pods') ? send(response, status, {}) : send(response, 200, list([], {}));
    await ask(get);
    await ask(get);
    expect(recovered).toBe(0);
    refuses = true;
    await ask(get);
    // What is refused of one thing says nothing of another.
    if (status === 403) await ask(other);
    expect(recovered).toBe(0);
    refuses = false;
    await ask(get);
    await ask(get);
    expect(recovered).toBe(1);
  },
);

test('a watch that waits out its delay goes on as soon as another call gets through', async () => {
  let broken = true;
  answer = (_url, response) => (broken ? send(response, 500, {}) : send(response, 200, list([], {})));
  const slow = { ...systemClock, sleep: (ms: number, signal: AbortSignal) => systemClock.sleep(ms * 1000, signal) };
  const abort = new AbortController();
  const replaced = new Promise<void>((resolve) => {
    const target = { replaced: () => resolve(), changed: () => {}, removed: () => {} };
    const deps = { client, clock: slow, log: silentLogger, random: () => 0 };
    void reflect({ path: '/p' }, target, deps, abort.signal).catch(() => {});
  });
  await expect.poll(() => client.reachability.problem, { timeout: 20_000 }).toContain('500');
  broken = false;
  await client.json(get, never);
  await replaced;
  abort.abort(new Error('enough'));
});

test('credentials that a watch was refused with are read anew by the next, and a change of them wakes who waits', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'berth-client-'));
  const path = join(dir, 'token');
  try {
    await writeFile(path, 'old');
    const config = { ...parsed, token: { kind: 'file', path } as const };
    await using own = new ApiClient(config, { userAgent: 'test' }, { clock, log: silentLogger, run: runProgram });
    answer = (_url, response, authorization) =>
      authorization === 'Bearer newer' ? send(response, 200, list([], {})) : send(response, 401, {});
    const open = async (): Promise<void> => {
      (await own.open(get, never)).body.resume();
    };
    await expect(open()).rejects.toThrow('401');
    await expect(open()).rejects.toThrow('401');
    let woken = 0;
    using _listener = own.onRecovery(() => woken++);
    // As long as they are what was refused, nobody is told to try again.
    await systemClock.sleep(1200, never);
    expect(woken).toBe(0);
    await writeFile(path, 'newer');
    // Told again each time somebody looks, until it is read.
    await expect.poll(() => woken, { timeout: 20_000 }).toBeGreaterThan(0);
    await open();
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('an abort is no failure of the server', async () => {
  const abort = new AbortController();
  answer = () => abort.abort(new Error('enough'));
  await expect(client.json(get, abort.signal)).rejects.toThrow('enough');
});

test('reads all pages, and starts over in one piece when the place was forgotten', async () => {
  answer = (url, response) => {
    const token = url.searchParams.get('continue');
    if (token) return send(response, 410, { reason: 'Expired', message: 'too old' });
    const limited = url.searchParams.has('limit');
    send(
      response,
      200,
      limited
        ? list([{ metadata: { name: 'a' } }], { continue: 'next' })
        : list([{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }], {}),
    );
  };
  const { items, resourceVersion } = await listAll(client, { path: '/api/v1/pods' }, never);
  expect(items.map((item) => item.metadata?.name)).toEqual(['a', 'b']);
  expect(items[0]).toMatchObject({ kind: 'Pod', apiVersion: 'v1' });
  expect(resourceVersion).toBe('7');
});

test('an event is taken apart, and what is none is garbage', () => {
  expect(parseEvent('/p', '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}').type).toBe('BOOKMARK');
  const expired = (): unknown => parseEvent('/p', '{"type":"ERROR","object":{"code":410,"reason":"Expired"}}');
  expect(expired).toThrow(ApiError);
  try {
    expired();
  } catch (err) {
    expect(isExpired(err)).toBe(true);
  }
  for (const line of [
    '',
    '7',
    '[]',
    '{"type":"ADDED"}',
    '{"type":"ADDED","object":{}}',
    '{"type":"NEW","object":{"metadata":{"resourceVersion":"1"}}}',
  ])
    expect(() => parseEvent('/p', line)).toThrow(/not a watch event/);
});

test('a watch goes on from the last version it saw, through cuts, characters cut in two, and a version that was forgotten', async () => {
  const seen: string[] = [];
  const abort = new AbortController();
  let watches = 0;
  let lists = 0;
  const event = (type: string, name: string, version: string): string =>
    `${JSON.stringify({ type, object: { metadata: { name, resourceVersion: version } } })}\n`;
  answer = (url, response) => {
    if (!url.searchParams.has('watch'))
      return send(response, 200, list([{ metadata: { name: `listed${++lists}` } }], {}));
    watches++;
    if (watches === 1) {
      const bytes = Buffer.from(event('ADDED', 'käse', '8'));
      const half = bytes.indexOf(0xc3) + 1;
      response.write(bytes.subarray(0, half));
      return void setTimeout(() => {
        response.write(bytes.subarray(half));
        response.write('{"type":"MODIF');
        setTimeout(() => response.destroy(), 20);
      }, 20);
    }
    seen.push(`from ${url.searchParams.get('resourceVersion')}`);
    if (watches === 2) return send(response, 200, event('BOOKMARK', '', '12'));
    if (watches === 3) return send(response, 200, '{"type":"ERROR","object":{"code":410,"reason":"Expired"}}\n');
    response.write(event('DELETED', 'last', '20'));
  };
  const target = {
    replaced: (items: readonly WatchedObject[]) =>
      void seen.push(`all ${items.map((item) => item.metadata?.name).join()}`),
    changed: (item: WatchedObject) => void seen.push(`changed ${item.metadata?.name}`),
    removed: (item: WatchedObject) => {
      seen.push(`removed ${item.metadata?.name}`);
      abort.abort(new Error('enough'));
    },
  };
  await expect(reflect({ path: '/p' }, target, { client, clock, log: silentLogger }, abort.signal)).rejects.toThrow(
    'enough',
  );
  expect(seen).toEqual(['all listed1', 'changed käse', 'from 8', 'from 12', 'all listed2', 'from 7', 'removed last']);
});

test('delays double, are spread, and end at the limit', () => {
  const backoff = new Backoff({ firstMs: 100, maxMs: 1000 }, () => 1);
  expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([100, 200, 400, 800, 1000, 1000]);
  backoff.reset();
  expect(backoff.next()).toBe(100);
  expect(new Backoff({ firstMs: 100, maxMs: 1000 }, () => 0).next()).toBe(50);
});
