import { beforeEach, expect, test } from 'vitest';
import type { CallOutcome, PluginCall } from '../../../base/call-recorder.js';
import { errorText } from '../../../base/errors.js';
import type { ProgramOptions, ProgramResult } from '../../../base/run-program.js';
import type { Pod, ServiceAccount } from '../../api/index.js';
import type { CredentialProviderConfig } from '../../config/credential-providers.js';
import { CredentialProvider } from './credential-provider.js';

const signal = new AbortController().signal;
const apiVersion = 'credentialprovider.kubelet.k8s.io/v1';
const pod: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u-1' },
  spec: { containers: [], serviceAccountName: 'robot' },
};
const config: CredentialProviderConfig = {
  name: 'prov',
  program: '/bin/prov',
  matchImages: ['*.example.com'],
  defaultCacheMs: 0,
  apiVersion,
  args: ['get'],
  env: { REGION: 'eu' },
  token: undefined,
};

let now: number;
let asked: ProgramOptions[];
let recorded: (PluginCall & { outcome?: CallOutcome })[];
let answer: () => Partial<ProgramResult>;
let account: ServiceAccount | undefined;
let token: string;

beforeEach(() => {
  now = 0;
  asked = [];
  recorded = [];
  account = { metadata: { uid: 'sa-1', annotations: { team: 'a', other: 'b' } } };
  token = 'tok-1';
  answer = () => reply({ cacheKeyType: 'Image', auth: { '*.example.com': { username: 'u', password: 'hunter2' } } });
});

const reply = (fields: object, kind = 'CredentialProviderResponse'): Partial<ProgramResult> => ({
  stdout: Buffer.from(JSON.stringify({ kind, apiVersion, ...fields })),
});

function open(changes: Partial<CredentialProviderConfig> = {}): CredentialProvider {
  return new CredentialProvider(
    { ...config, ...changes },
    {
      clock: { now: () => now, sleep: () => Promise.resolve() },
      run: async (options) => {
        asked.push(options);
        await Promise.resolve();
        const result = { end: { kind: 'exited', code: 0 }, stdout: Buffer.alloc(0), stderr: '', ...answer() } as const;
        return { argv: options.argv, fd3: Buffer.alloc(0), durationMs: 1, ...result };
      },
      recorder: {
        begin: (call) => {
          const entry: PluginCall & { outcome?: CallOutcome } = { ...call };
          recorded.push(entry);
          return (outcome) => (entry.outcome = outcome);
        },
      },
      environment: { PATH: '/bin', REGION: 'us' },
      stop: signal,
      serviceAccount: () => Promise.resolve(account),
      token: () => Promise.resolve(token),
    },
  );
}

const ask = async (provider: CredentialProvider, image = 'r.example.com/app', of: Pod = pod) =>
  (await provider.provide(image, of, signal))?.auths.get('*.example.com');

test('it is asked as the kubelet asks, its settings over the environment, and only for its images', async () => {
  const provider = open();
  expect(await provider.provide('docker.io/library/busybox', pod, signal)).toBeUndefined();
  expect(await ask(provider)).toEqual({ username: 'u', password: 'hunter2' });
  expect(asked).toEqual([
    {
      argv: ['/bin/prov', 'get'],
      env: { PATH: '/bin', REGION: 'eu' },
      stdin: `{"kind":"CredentialProviderRequest","apiVersion":"${apiVersion}","image":"r.example.com/app"}`,
      timeoutMs: 60_000,
    },
  ]);
  expect(JSON.stringify(recorded)).not.toContain('hunter2');
  expect(recorded[0]).toMatchObject({
    interface: 'credential-provider',
    plugin: 'prov',
    outcome: { response: { registries: ['*.example.com'] } },
  });
});

test.each([
  ['Image', { 'r.example.com/app': 1, 'r.example.com/two': 2, 'q.example.com/app': 3 }],
  ['Registry', { 'r.example.com/app': 1, 'r.example.com/two': 1, 'q.example.com/app': 2 }],
  ['Global', { 'r.example.com/app': 1, 'r.example.com/two': 1, 'q.example.com/app': 1 }],
])('an answer for %s is kept that widely, for as long as it says', async (cacheKeyType, calls) => {
  answer = () => reply({ cacheKeyType, cacheDuration: '10s', auth: {} });
  const provider = open();
  for (const [image, count] of Object.entries(calls)) {
    await ask(provider, image);
    await ask(provider, image);
    expect(asked, image).toHaveLength(count);
  }
  now = 10_000;
  const before = asked.length;
  await ask(provider);
  expect(asked).toHaveLength(before + 1);
});

test('an answer without a duration is kept as configured, one of 0 not at all', async () => {
  const provider = open({ defaultCacheMs: 5000 });
  await ask(provider);
  await ask(provider);
  expect(asked).toHaveLength(1);
  answer = () => reply({ cacheKeyType: 'Image', cacheDuration: '0s', auth: {} });
  now = 5000;
  await ask(provider);
  await ask(provider);
  expect(asked).toHaveLength(3);
});

test('pods that ask at the same time share one run, and one that gives up takes it from nobody', async () => {
  const provider = open();
  const leaving = new AbortController();
  const all = [provider.provide('r.example.com/app', pod, leaving.signal), ask(provider), ask(provider)];
  leaving.abort(new Error('left'));
  const ends = await Promise.allSettled(all);
  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  expect(asked).toHaveLength(1);
});

test.each([
  [
    { end: { kind: 'exited', code: 3 }, stderr: 'no metadata server\n', stdout: 'hunter2' },
    'ask credential provider prov: exited with 3: no metadata server',
  ],
  [{ end: { kind: 'timed-out', afterMs: 60_000 } }, 'ask credential provider prov: gave no answer within 60000 ms'],
  [{ end: { kind: 'exited', code: 1 }, stdout: 'hunter2' }, 'ask credential provider prov: exited with 1'],
  [{ stdout: 'password hunter2' }, 'it is not JSON'],
  [{ stdout: '' }, 'it printed nothing'],
  [reply({ cacheKeyType: 'Image' }, 'Other'), 'its kind is not CredentialProviderResponse'],
  [{ stdout: '{"kind":"CredentialProviderResponse","apiVersion":"v2","auth":{"hunter2":1}}' }, 'its apiVersion is not'],
  [reply({ cacheKeyType: 'hunter2' }), 'its cacheKeyType is none of'],
  [reply({ cacheKeyType: 'Image', cacheDuration: 5 }), 'its cacheDuration is not a duration'],
  [
    reply({ cacheKeyType: 'Image', auth: { 'r.example': { password: 5 } } }),
    'its auth for r.example holds no username',
  ],
])('trouble is told without what it printed: %j', async (result, message) => {
  const stdout = 'stdout' in result ? Buffer.from(result.stdout as never) : Buffer.alloc(0);
  answer = () => ({ ...result, stdout }) as Partial<ProgramResult>;
  const said = await ask(open()).then(() => 'no failure', errorText);
  expect(said).toContain(message);
  expect(`${said}${JSON.stringify(recorded)}`).not.toContain('hunter2');
});

const withToken: CredentialProviderConfig['token'] = {
  audience: 'registry',
  requireServiceAccount: true,
  cacheType: 'ServiceAccount',
  requiredAnnotations: ['team'],
  optionalAnnotations: ['other', 'absent'],
};

test("a token of the pod's service account goes with the question, and its annotations", async () => {
  const provider = open({ token: withToken, defaultCacheMs: 1000 });
  const provided = await provider.provide('r.example.com/app', pod, signal);
  expect(provided?.source).toEqual({ kind: 'service-account', uid: 'sa-1', namespace: 'ns', name: 'robot' });
  expect(JSON.parse(String(asked[0]?.stdin))).toMatchObject({
    serviceAccountToken: 'tok-1',
    serviceAccountAnnotations: { team: 'a', other: 'b' },
  });
  expect(JSON.stringify(recorded)).not.toContain('tok-1');
  token = 'tok-2';
  await ask(provider);
  expect(asked, 'kept for the service account').toHaveLength(1);
  account = { metadata: { uid: 'sa-2', annotations: { team: 'a' } } };
  await ask(provider);
  expect(asked, 'another account of the same name').toHaveLength(2);
});

test('cacheType Token asks again for each token', async () => {
  const provider = open({ token: { ...withToken, cacheType: 'Token' }, defaultCacheMs: 1000 });
  await ask(provider);
  await ask(provider);
  expect(asked).toHaveLength(1);
  token = 'tok-2';
  await ask(provider);
  expect(asked).toHaveLength(2);
});

test('a pod whose account is not for it is not asked about', async () => {
  const provider = open({ token: withToken });
  const nameless: Pod = { ...pod, spec: { containers: [] } };
  expect(await provider.provide('r.example.com/app', nameless, signal)).toBeUndefined();
  account = { metadata: { uid: 'sa-1' } };
  expect(await provider.provide('r.example.com/app', pod, signal)).toBeUndefined();
  expect(asked).toEqual([]);
  account = undefined;
  await expect(provider.provide('r.example.com/app', pod, signal)).rejects.toThrow(
    'there is no service account ns/robot',
  );
  const lenient = open({ token: { ...withToken, requireServiceAccount: false, requiredAnnotations: [] } });
  expect((await lenient.provide('r.example.com/app', nameless, signal))?.source).toEqual({ kind: 'node' });
  expect(String(asked[0]?.stdin)).not.toContain('serviceAccountToken');
});

test("the token as the password is refused, except where the configuration expects it; the provider's words are masked", async () => {
  answer = () => reply({ cacheKeyType: 'Image', auth: { r: { username: 'u', password: 'tok-1' } } });
  await expect(open({ token: withToken }).provide('r.example.com/app', pod, signal)).rejects.toThrow(
    'needs cacheType: Token',
  );
  await open({ token: { ...withToken, cacheType: 'Token' } }).provide('r.example.com/app', pod, signal);
  answer = () => ({ end: { kind: 'exited', code: 1 }, stderr: 'refused tok-1' });
  await expect(open({ token: withToken }).provide('r.example.com/app', pod, signal)).rejects.toThrow(
    'exited with 1: refused ***',
  );
});
