import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { execFileSync } from 'node:child_process';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { beforeAll, describe, expect, test } from 'vitest';
import { routeTable } from '../../../../agent/serving/kubelet-api/route-table.js';
import { freePorts } from '../../../support/free-ports.js';
import { LeakCheck } from '../../../support/leak-check.js';
import { ask, spdyUpgrade, webSocketUpgrade, type Answer, type Credentials } from './https-client.js';
import { ServedApi } from './served-api.js';
import { TestAuthority } from '../../../support/test-authority.js';

/** Every path there is, some that there are not, and some that only look like paths. */
const paths = [
  ...routeTable.map(({ path }) => path.replaceAll(/\{rest\.\.\.\}/g, 'a/b').replaceAll(/\{\w+\}/g, 'x')),
  '/runningpods/',
  '/logs/',
  '/',
  '/nothing',
  '/logs/../pods',
  '/logs/%2e%2e/%2e%2e/etc/shadow',
  '//healthz',
  '/%',
  '/healthz?verbose',
];

const upgrades = {
  plain: {},
  SPDY: spdyUpgrade,
  WebSocket: webSocketUpgrade,
  h2c: { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' },
} as const;

async function everywhere(port: number, credentials: Credentials): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const path of paths) {
    const asks = Object.values(upgrades).flatMap((headers) =>
      ['GET', 'POST'].map((method) => ask({ port, path, method, headers, ...credentials })),
    );
    answers.push(...(await Promise.all(asks)), await ask({ port, path, method: 'DELETE', ...credentials }));
  }
  return answers;
}

describe('credentials on every path', () => {
  let authority: TestAuthority;
  let good: { cert: string; key: string };
  beforeAll(async () => {
    authority = await TestAuthority.make();
    good = await authority.issue('alice', ['admins', 'others']);
  });

  test('none or wrong ones get 401, upgrades included, and are asked about nothing else', async () => {
    await using _leaks = await LeakCheck.open({ kinds: ['listener'], tokens: ['berth-kubelet-api-'] });
    await using api = await ServedApi.open(authority.cert);
    const { port } = api;
    const stranger = await (await TestAuthority.make()).issue('alice', ['admins']);
    const expired = await authority.issue('alice', ['admins'], { validForMs: -60_000 });
    const serving = await authority.issue('alice', ['admins'], { use: 'server' });
    const wrong: Record<string, Credentials> = {
      'no credentials': {},
      'a token nobody has': { authorization: 'Bearer nobody-has-this' },
      'no bearer token': { authorization: 'Basic YWxpY2U6YWxpY2U=' },
      'an empty token': { authorization: 'Bearer ' },
      "another authority's certificate": stranger,
      'an expired certificate': expired,
      "a server's certificate": serving,
    };
    for (const [what, credentials] of Object.entries(wrong)) {
      const answers = await everywhere(port, credentials);
      expect(
        answers.filter(({ status }) => status !== 401),
        what,
      ).toEqual([]);
      expect(new Set(answers.map(({ text }) => text)), what).toEqual(new Set(['Unauthorized']));
    }
    // One question for the one token: what is known to be wrong is not asked again.
    expect(api.users.asked).toEqual(['token nobody-has-this']);
  });

  test('good ones without permission get 403 everywhere, upgrades included', async () => {
    await using api = await ServedApi.open(authority.cert);
    api.users.tokens.set('bob-token', 'bob');
    for (const credentials of [good, { authorization: 'Bearer bob-token' }]) {
      const answers = await everywhere(api.port, credentials);
      expect(answers.filter(({ status }) => status !== 403)).toEqual([]);
    }
    const first = await ask({ port: api.port, path: '/pods', ...good });
    expect(first.text).toBe('Forbidden (user=alice, verb=get, resource=nodes, subresource(s)=[pods proxy])\n');
  });

  test('good ones with permission are never told 401 or 403, and each path answers as its own', async () => {
    await using api = await ServedApi.open(authority.cert);
    api.users.rights.set('admins', ['*']);
    const answers = await everywhere(api.port, good);
    expect(answers.filter(({ status }) => status === 401 || status === 403)).toEqual([]);
    expect(answers.filter(({ upgraded }) => upgraded)).toEqual([]);
    const status = async (path: string, method = 'GET'): Promise<number> =>
      (await ask({ port: api.port, path, method, ...good })).status;
    expect(await status('/healthz')).toBe(200);
    expect(await status('/healthz/syncloop')).toBe(200);
    expect(await status('/healthz/nothing')).toBe(404);
    expect(await status('/pods')).toBe(200);
    expect(await status('/pods', 'POST')).toBe(405);
    expect(await status('/containerLogs/default/x/main')).toBe(404);
    expect(await status('/exec/default/x/main?command=sh&output=1')).toBe(404);
    expect(await status('/exec/default/x/main')).toBe(400);
    expect(await status('/run/default/x/main')).toBe(405);
    expect(await status('/debug/pprof/heap')).toBe(405);
    expect(await status('/debug/flags/v', 'PUT')).toBe(405);
    for (const path of ['/metrics', '/metrics/cadvisor', '/metrics/resource', '/metrics/probes', '/metrics/slis'])
      expect(await status(path), path).toBe(200);
    expect(await status('/stats/summary', 'POST')).toBe(200);
    expect(await status('/logs/../pods')).toBe(400);
  });

  test('permissions are per path, the fine ones first, and remembered', async () => {
    await using api = await ServedApi.open(authority.cert);
    api.users.rights.set('alice', ['pods', 'metrics']);
    const status = async (path: string): Promise<number> => (await ask({ port: api.port, path, ...good })).status;
    expect(await status('/pods')).toBe(200);
    expect(await status('/runningpods/')).toBe(200);
    expect(await status('/metrics/cadvisor')).toBe(200);
    expect(await status('/stats/summary')).toBe(403);
    expect(await status('/containerLogs/default/x/main')).toBe(403);
    expect(await status('/configz')).toBe(403);
    expect(await status('/configz')).toBe(403);
    expect(api.users.asked).toEqual([
      'alice get pods',
      'alice get metrics',
      'alice get stats',
      'alice get proxy',
      'alice get configz',
    ]);
  });

  test('a cluster that is away lets nobody in by token, and says 500 where only the permission is unknown', async () => {
    await using api = await ServedApi.open(authority.cert);
    api.users.away = true;
    expect((await ask({ port: api.port, path: '/pods', authorization: 'Bearer some' })).status).toBe(401);
    const answer = await ask({ port: api.port, path: '/pods', ...good });
    expect(answer).toMatchObject({
      status: 500,
      text: 'Authorization error (user=alice, verb=get, resource=nodes, subresource=pods)',
    });
    expect(api.log.text).toContain('the cluster is away');
    api.users.away = false;
    api.users.rights.set('alice', ['*']);
    expect((await ask({ port: api.port, path: '/pods', ...good })).status).toBe(200);
  });

  test('anonymous users are let in where that is wanted; wrong credentials are not', async () => {
    await using api = await ServedApi.open(authority.cert, (settings) => ({
      ...settings,
      authentication: { ...settings.authentication, anonymous: true },
      authorization: { ...settings.authorization, mode: 'AlwaysAllow' },
    }));
    expect((await ask({ port: api.port, path: '/pods' })).status).toBe(200);
    expect((await ask({ port: api.port, path: '/pods', authorization: 'Bearer wrong' })).status).toBe(401);
    const stranger = await (await TestAuthority.make()).issue('alice');
    expect((await ask({ port: api.port, path: '/pods', ...stranger })).status).toBe(401);
  });

  test('without an authority of clients no certificate counts, also not one of a public authority', async () => {
    await using api = await ServedApi.open(undefined, (settings) => ({
      ...settings,
      authorization: { ...settings.authorization, mode: 'AlwaysAllow' },
    }));
    expect((await ask({ port: api.port, path: '/pods', ...good })).status).toBe(401);
  });

  test('the read-only port shows what all may see, to all, and nothing else', async () => {
    const [readOnlyPort = 0] = await freePorts(1);
    await using api = await ServedApi.open(authority.cert, (settings) => ({ ...settings, readOnlyPort }));
    const answer = async (path: string, method = 'GET'): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${api.readOnlyPort}${path}`, { method });
      return `${response.status} ${(await response.text()).slice(0, 30)}`;
    };
    expect(await answer('/healthz')).toBe('200 ok');
    for (const path of [
      '/pods',
      '/metrics',
      '/metrics/cadvisor',
      '/metrics/resource',
      '/metrics/probes',
      '/stats/summary',
    ])
      expect(await answer(path), path).toMatch(/^200 /);
    const hidden = ['/exec/a/b/c?command=sh&output=1', '/containerLogs/a/b/c', '/run/a/b/c', '/attach/a/b/c', '/logs/'];
    for (const path of [...hidden, '/runningpods/', '/configz', '/portForward/a/b', '/statusz', '/debug/pprof/'])
      for (const method of ['GET', 'POST']) expect(await answer(path, method), path).toMatch(/^40[45] /);
  });

  test('z-pages, and what the log query answers when it is off and on', async () => {
    await using off = await ServedApi.open(authority.cert);
    await using on = await ServedApi.open(authority.cert, (settings) => ({ ...settings, systemLogQuery: true }));
    for (const api of [off, on]) api.users.rights.set('alice', ['*']);
    const get = async (api: ServedApi, path: string): Promise<string> => {
      const { status, text } = await ask({ port: api.port, path, ...good });
      return `${status} ${text}`;
    };
    expect(await get(off, '/statusz')).toMatch(/^200 \nkubelet statusz\n/);
    expect(await get(off, '/flagz')).toMatch(/^200 \nkubelet flagz\n/);
    expect(await get(off, '/logs/?query=some')).toMatch(/^406 logs query is disabled: set enableSystemLogQuery/);
    await mkdir(join(on.dir, 'log', 'some'), { recursive: true });
    await writeFile(join(on.dir, 'log', 'some', 'some.log'), 'of the service\n');
    expect(await get(on, '/logs/?query=some')).toBe('200 of the service\n');
    expect(await get(on, '/logs/?query=/some/some.log')).toBe('200 of the service\n');
    expect(await get(on, '/logs/?query=other')).toBe('200 \nlog not found for other\n');
    expect(await get(on, '/logs/?query=/../x')).toMatch(/^40[034] /);
    expect(await get(on, '/logs/some?query=some')).toBe('406 path not allowed in query mode');
    expect(await get(on, '/logs/?query=a&query=/b')).toMatch(/^406 /);
  });

  test('debugging handlers that are off say so, to those who may ask', async () => {
    await using api = await ServedApi.open(authority.cert, (settings) => ({ ...settings, debuggingHandlers: false }));
    api.users.rights.set('alice', ['*']);
    for (const path of ['/exec/a/b/c', '/containerLogs/a/b/c', '/runningpods/', '/logs/', '/debug/pprof/'])
      expect(await ask({ port: api.port, path, ...good })).toMatchObject({
        status: 405,
        text: 'Debug endpoints are disabled.',
      });
    expect((await ask({ port: api.port, path: '/configz', ...good })).status).toBe(404);
    expect((await ask({ port: api.port, path: '/pods', ...good })).status).toBe(200);
  });
});

describe('certificates that change', () => {
  const allowAll = { mode: 'AlwaysAllow' as const, allowedForMs: 0, deniedForMs: 0 };

  test('a replaced authority counts at once, on connections that are open and for sessions that are resumed too', async () => {
    const first = await TestAuthority.make('first');
    const second = await TestAuthority.make('second');
    const alice = await first.issue('alice');
    const bob = await second.issue('bob');
    await using api = await ServedApi.open(first.cert, (settings) => ({ ...settings, authorization: allowAll }));
    const { port } = api;
    const kept = new HttpsAgent({ keepAlive: true, maxSockets: 1 });
    const onKept = { options: { agent: kept } };
    expect((await ask({ port, path: '/pods', ...alice, ...onKept })).status).toBe(200);
    expect((await ask({ port, path: '/pods', ...bob })).status).toBe(401);
    let session: Buffer | undefined;
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...alice });
    socket.on('session', (ticket: Buffer) => (session = ticket));
    await once(socket, 'secureConnect');
    await until(() => session !== undefined, 'a session ticket');

    await writeFile(join(api.dir, 'next.crt'), second.cert);
    await rename(join(api.dir, 'next.crt'), join(api.dir, 'client-ca.crt'));
    await until(async () => (await ask({ port, path: '/pods', ...bob })).status === 200, 'the new authority counts');
    expect((await ask({ port, path: '/pods', ...alice })).status).toBe(401);
    expect(await overOpenSocket(socket)).not.toContain('200 OK');
    const options = { session } as RequestOptions;
    const resumed = await ask({ port, path: '/pods', ...alice, options });
    expect(resumed.status).toBe(401);
    kept.destroy();
  });

  test('a serving certificate is reloaded; half of a pair leaves the old one in force', async () => {
    const authority = await TestAuthority.make();
    const [one, two] = [
      await authority.issue('one', [], { use: 'server' }),
      await authority.issue('two', [], { use: 'server' }),
    ];
    const folder = await mkdtemp(join(tmpdir(), 'berth-serving-'));
    const certFile = join(folder, 'tls.crt');
    const keyFile = join(folder, 'tls.key');
    await writeFile(certFile, one.cert);
    await writeFile(keyFile, one.key);
    await using api = await ServedApi.open(undefined, (settings) => ({
      ...settings,
      tls: { ...settings.tls, certFile, keyFile, minVersion: 'TLSv1.3', curves: [24] },
    }));
    expect(await servedName(api.port)).toBe('one');
    await writeFile(certFile, two.cert);
    await until(() => api.log.text.includes("the private key is not the certificate's"), 'the mismatch is told');
    expect(await servedName(api.port)).toBe('one');
    await writeFile(keyFile, two.key);
    await until(async () => (await servedName(api.port)) === 'two', 'the new certificate is served');
    await expect(servedName(api.port, 'TLSv1.2')).rejects.toThrow(/protocol version/);
    const over = (ecdhCurve: string): Promise<Answer> =>
      ask({ port: api.port, path: '/healthz', options: { ecdhCurve } });
    await expect(over('X25519')).rejects.toThrow(/handshake/);
    expect((await over('P-384')).status).toBe(401);
    await rm(folder, { recursive: true });
  });

  test('without files a certificate is made that openssl accepts, and kept', async () => {
    await using api = await ServedApi.open(undefined);
    const path = join(api.dir, 'pki', 'kubelet.crt');
    const text = execFileSync('openssl', ['x509', '-in', path, '-noout', '-text'], { encoding: 'utf8' });
    expect(text).toMatch(/Subject: CN = node-1@\d+/);
    expect(text).toContain('DNS:node-1');
    expect(text).toContain('IP Address:127.0.0.1');
    expect(execFileSync('openssl', ['verify', '-CAfile', path, path], { encoding: 'utf8' })).toContain('OK');
    expect(await servedName(api.port)).toMatch(/^node-1@/);
    expect((await readFile(join(api.dir, 'pki', 'kubelet.key'), 'utf8')).includes('PRIVATE KEY')).toBe(true);
  });
});

async function servedName(port: number, maxVersion?: 'TLSv1.2'): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...(maxVersion && { maxVersion }) });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerCertificate().subject.CN as string;
  } finally {
    socket.destroy();
  }
}

/** Empty when the server closed the connection. */
async function overOpenSocket(socket: TLSSocket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', () => {});
  socket.write('GET /pods HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  if (!socket.closed) await once(socket, 'close');
  return text;
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within 60 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
