import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../../base/clock.js';
import { runProgram } from '../../../../base/run-program.js';
import { ApiError } from './api-error.js';
import { CredentialSource } from './credentials.js';
import { KubeconfigError, parseKubeconfig, readKubeconfig } from './kubeconfig.js';

const never = new AbortController().signal;
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-kubeconfig-'));
});
afterEach(() => rm(dir, { recursive: true }));

const file = (user: object, more: object = {}): object => ({
  'current-context': 'a',
  contexts: [
    { name: 'a', context: { cluster: 'c', user: 'u', namespace: 'shop' } },
    { name: 'b', context: { cluster: 'd', user: 'u' } },
  ],
  clusters: [
    { name: 'c', cluster: { server: 'https://c:6443/', 'certificate-authority': 'pki/ca.crt', ...more } },
    { name: 'd', cluster: { server: 'https://d', 'insecure-skip-tls-verify': true } },
  ],
  users: [{ name: 'u', user }],
});

describe('a kubeconfig', () => {
  test('names a server, an authority and a user; paths are relative to it', () => {
    const data = Buffer.from('CERT').toString('base64');
    const config = parseKubeconfig(file({ 'client-certificate-data': data, 'client-key': 'key.pem' }), '/etc/k/config');
    expect(config).toMatchObject({
      server: 'https://c:6443',
      namespace: 'shop',
      ca: { kind: 'file', path: '/etc/k/pki/ca.crt' },
      clientCertificate: { kind: 'inline', content: 'CERT' },
      clientKey: { kind: 'file', path: '/etc/k/key.pem' },
    });
    expect(parseKubeconfig(file({}), '/c', 'b')).toMatchObject({
      server: 'https://d',
      insecure: true,
      namespace: 'default',
    });
  });

  test.each(['http://p:3128', 'https://p', 'socks5://me:a%25b@p:1080'])('may name the proxy %s', (url) => {
    expect(parseKubeconfig(file({}, { 'proxy-url': url }), '/c').proxyUrl).toBe(url);
  });

  test('is read as YAML too', async () => {
    await writeFile(
      join(dir, 'c'),
      'current-context: a\ncontexts: [{ name: a, context: { cluster: c } }]\nclusters: [{ name: c, cluster: { server: "http://x:8080" } }]\n',
    );
    expect((await readKubeconfig(join(dir, 'c'))).server).toBe('http://x:8080');
  });

  test.each<[string, unknown, string]>([
    ['no context', {}, 'no current-context'],
    ['a context that is not there', { 'current-context': 'x', contexts: [] }, 'contexts holds none with the name "x"'],
    [
      'a proxy of a kind that nobody speaks',
      file({}, { 'proxy-url': 'ftp://proxy:21' }),
      'clusters[c].cluster.proxy-url is not the URL of a proxy',
    ],
    ['a server that is no URL', file({}, { server: 'c:6443' }), 'is not a URL'],
    [
      'a plugin of an unknown version',
      file({ exec: { apiVersion: 'v9', command: 'x' } }),
      'user.exec.apiVersion is "v9"',
    ],
    [
      'a plugin that wants to ask',
      file({ exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'x', interactiveMode: 'Always' } }),
      'nobody to ask',
    ],
    ['a way in that is gone', file({ 'auth-provider': { name: 'gcp' } }), 'user.auth-provider is a way in'],
  ])('%s is told', (_what, root, reason) => {
    expect(() => parseKubeconfig(root, '/c')).toThrow(reason);
  });

  test('that is missing is another failure than one that is broken', async () => {
    const failed = await readKubeconfig(join(dir, 'none')).catch((err: unknown) => err);
    expect(failed instanceof KubeconfigError && failed.failure.code).toBe('missing');
    await writeFile(join(dir, 'bad'), '{');
    const broken = await readKubeconfig(join(dir, 'bad')).catch((err: unknown) => err);
    expect(broken instanceof KubeconfigError && broken.failure.code).toBe('invalid');
  });
});

describe('credentials', () => {
  const source = (user: object): { credentials: CredentialSource; advance: (ms: number) => void } => {
    let now = Date.now();
    const config = { ...parseKubeconfig(file(user), join(dir, 'config')), ca: undefined };
    const clock = { ...systemClock, now: () => now };
    return { credentials: new CredentialSource(config, { clock, run: runProgram }), advance: (ms) => (now += ms) };
  };

  test('of a token file are read again when it changes', async () => {
    await writeFile(join(dir, 'token'), 'one\n');
    const { credentials, advance } = source({ tokenFile: 'token', token: 'inline' });
    const first = await credentials.current(never);
    expect(first.authorization).toBe('Bearer one');
    await writeFile(join(dir, 'token'), 'three\n');
    expect(await credentials.current(never)).toBe(first);
    advance(6000);
    const second = await credentials.current(never);
    expect(second.authorization).toBe('Bearer three');
    expect(second.connectionKey).toBe(first.connectionKey);
  });

  test('of a client certificate make a new connection when they change', async () => {
    await writeFile(join(dir, 'cert'), 'A');
    const { credentials, advance } = source({ 'client-certificate': 'cert', 'client-key-data': 'Sw==' });
    const first = await credentials.current(never);
    await writeFile(join(dir, 'cert'), 'BB');
    advance(6000);
    expect((await credentials.current(never)).connectionKey).not.toBe(first.connectionKey);
  });

  const plugin = (script: string): object => ({
    exec: {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: 'sh',
      args: ['-c', script],
      env: [{ name: 'WORD', value: 'secret' }],
      provideClusterInfo: true,
      installHint: 'install it',
    },
  });
  const answer = (status: string): string =>
    `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{${status}}}'`;

  test('of a plugin are asked for once, and again when they expire or are refused', async () => {
    const count = join(dir, 'count');
    const expires = new Date(Date.now() + 120_000).toISOString();
    const script = `echo x >> ${count}; n=$(wc -l < ${count}); ${answer(`"token":"'"$WORD$n"'","expirationTimestamp":"${expires}"`)}`;
    const { credentials, advance } = source(plugin(script));
    expect((await credentials.current(never)).authorization).toBe('Bearer secret1');
    expect((await credentials.current(never)).authorization).toBe('Bearer secret1');
    advance(100_000);
    expect((await credentials.current(never)).authorization).toBe('Bearer secret2');
    expect(credentials.refused()).toBe(true);
    expect((await credentials.current(never)).authorization).toBe('Bearer secret3');
  });

  test('a plugin is told what the kubeconfig says for it alone, and of the proxy', async () => {
    const asked = join(dir, 'asked');
    const script = `printf %s "$KUBERNETES_EXEC_INFO" > ${asked}; ${answer('"token":"ok"')}`;
    const extensions = [
      { name: 'other', extension: { no: 1 } },
      { name: 'client.authentication.k8s.io/exec', extension: { audience: 'a' } },
    ];
    const config = parseKubeconfig(
      file(plugin(script), { extensions, 'proxy-url': 'http://p:1' }),
      join(dir, 'config'),
    );
    await new CredentialSource({ ...config, ca: undefined }, { clock: systemClock, run: runProgram }).current(never);
    const { spec } = JSON.parse(await readFile(asked, 'utf8')) as { spec: unknown };
    expect(spec).toEqual({
      interactive: false,
      cluster: { server: 'https://c:6443', 'proxy-url': 'http://p:1', config: { audience: 'a' } },
    });
  });

  test('a plugin is told which cluster it is for', async () => {
    const { credentials } = source(
      plugin(`case "$KUBERNETES_EXEC_INFO" in *'"server":"https://c:6443"'*) ${answer('"token":"ok"')};; esac`),
    );
    expect((await credentials.current(never)).authorization).toBe('Bearer ok');
  });

  test.each([
    ['that fails', 'echo no luck >&2; exit 2', 'exited with 2: no luck; install it'],
    ['that prints something else', 'echo hello', 'its output is not JSON'],
    ['that gives nothing', answer(''), 'neither a token nor a certificate'],
    ['that gives half a certificate', answer('"clientKeyData":"k"'), 'a key alone'],
  ])('a plugin %s is told by name', async (_what, script, reason) => {
    const failed = await source(plugin(script))
      .credentials.current(never)
      .catch((err: unknown) => err);
    expect(failed instanceof ApiError && failed.failure.code).toBe('credentials');
    expect(String(failed)).toContain(reason);
  });
});
