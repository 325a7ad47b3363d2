import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { allContainers, type Pod, type Secret } from '../../../agent/api/index.js';
import type { AgentFlags } from '../../../agent/config/agent-flags.js';
import { loadConfig } from '../../../agent/config/load-config.js';
import type { ImageEnsurer } from '../../../agent/executors/executor-deps.js';
import { openImagePuller } from '../../../agent/images/open-image-puller.js';
import { CallLog } from '../../../agent/recorder/call-log.js';
import { systemClock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import { runProgram, type RunProgram } from '../../../base/run-program.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { missingProgram, never, tempFolder, TempStore } from '../../cri/embedded/images/temp-store.js';
import { login, TestRegistry } from '../../support/test-registry.js';

const missing = await missingProgram('skopeo', 'docker-registry', 'htpasswd', '/bin/busybox');
const token = 'a-token-of-an-account';

describe.skipIf(missing !== undefined)(`credentials of pods and of the node (missing: ${missing ?? 'nothing'})`, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let registry: TestRegistry;
  let image: string;
  let work: AsyncDisposable & { readonly path: string };
  let store: TempStore;
  let calls: CallLog;
  /** Everything that may be read by others: arguments of programs, logs, events. */
  let seen: string[];
  let secrets: Map<string, Secret>;

  beforeAll(async () => {
    folder = await tempFolder();
    registry = await TestRegistry.open({ auth: true });
    const archive = join(folder.path, 'box.tar');
    await makeBusyboxImage({ path: archive, reference: 'box:1' });
    await registry.push(`oci-archive:${archive}`, 'team/box:1');
    image = `${registry.host}/team/box:1`;
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    work = await tempFolder();
    seen = [];
    secrets = new Map();
    calls = new CallLog(
      { dir: join(work.path, 'calls'), maxFileBytes: 1e6, keep: 1000, flushAfterMs: 1 },
      { clock: systemClock, log },
    );
    const options = { registries: { [registry.host]: { insecure: true } } };
    store = await TempStore.open({ ...options, dir: join(work.path, 'images') }, { run, recorder: calls });
  });
  afterEach(async () => {
    await calls[Symbol.asyncDispose]();
    const recorded = await readFile(join(work.path, 'calls', 'calls.jsonl'), 'utf8');
    const records = await readdir(join(work.path, 'image_manager', 'pulled'));
    const kept = await Promise.all(
      records.map((name) => readFile(join(work.path, 'image_manager/pulled', name), 'utf8')),
    );
    // The secrets themselves, and the form in which a docker configuration holds them.
    const encoded = Buffer.from(`${login.username}:${login.password}`).toString('base64');
    for (const text of [...seen, recorded, ...kept])
      for (const secret of [login.password, JSON.stringify(login.password).slice(1, -1), encoded, token])
        expect(text.includes(secret), text).toBe(false);
    await store.store[Symbol.asyncDispose]();
    await work[Symbol.asyncDispose]();
  });

  const note =
    (level: string) =>
    (fields: object, message: string): void =>
      void seen.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const log: Logger = {
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
    child: () => log,
  };
  const run: RunProgram = (options, signal) => {
    seen.push(JSON.stringify([options.argv, options.env]));
    return runProgram(options, signal);
  };

  async function open(flags: AgentFlags = {}): Promise<ImageEnsurer> {
    const machine = { hostname: 'box', cpus: 2 };
    const { config } = await loadConfig({ ...flags, rootDir: work.path }, machine);
    return await openImagePuller(
      config,
      {
        ...{ clock: systemClock, log, run, calls, images: store.store },
        events: { record: (_, type, reason, message) => void seen.push(`${type} ${reason}: ${message}`) },
        controlPlane: {
          get: (kind: string, _: string, name: string) =>
            Promise.resolve(
              (kind === 'ServiceAccount' ? { metadata: { name, uid: 'sa-1' } } : secrets.get(name)) as never,
            ),
          createToken: () =>
            Promise.resolve({ status: { token, expirationTimestamp: new Date(Date.now() + 3.6e6).toISOString() } }),
        },
        progress: (_, container, text) => void seen.push(`progress ${container} ${text}`),
      },
      never,
    );
  }

  function pod(name: string, pullSecrets: string[] = [], policy?: 'Always' | 'Never'): Pod {
    return {
      metadata: { name, namespace: 'default', uid: `uid-${name}` },
      spec: {
        containers: [{ name: 'main', image, ...(policy && { imagePullPolicy: policy }) }],
        serviceAccountName: 'robot',
        imagePullSecrets: pullSecrets.map((each) => ({ name: each })),
      },
    };
  }
  const ensure = (puller: ImageEnsurer, of: Pod): Promise<{ imageId: string }> =>
    puller.ensure(of, allContainers(of)[0] as never, never);

  const dockerConfig = (user = login): string =>
    JSON.stringify({
      auths: {
        [registry.host]: { auth: Buffer.from(`${user.username}:${user.password}`).toString('base64') },
      },
    });
  function giveSecret(name: string, user = login): void {
    secrets.set(name, {
      metadata: { name, namespace: 'default', uid: `uid-of-${name}` },
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': Buffer.from(dockerConfig(user)).toString('base64') },
    });
  }

  /** A provider that writes down what it was asked and answers with the login. */
  async function giveProvider(settings = '', answer = 'cat answer.json'): Promise<AgentFlags> {
    const bin = join(work.path, 'bin');
    await mkdir(bin);
    const config = join(work.path, 'providers.yaml');
    await writeFile(
      config,
      `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: prov
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["127.0.0.*:${registry.host.split(':')[1]}/team"]
  defaultCacheDuration: 1h
  args: [--get]
  env: [{ name: PROV, value: set }]
${settings}`,
    );
    const user = { username: login.username, password: login.password };
    await writeFile(
      join(bin, 'answer.json'),
      JSON.stringify({
        kind: 'CredentialProviderResponse',
        apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
        cacheKeyType: 'Registry',
        auth: { [registry.host]: user },
      }),
    );
    const script = `#!/bin/sh\ncd ${bin}\necho "$PROV $*" >> asked\ncat >> asked\necho >> asked\n${answer}\n`;
    await writeFile(join(bin, 'prov'), script);
    await chmod(join(bin, 'prov'), 0o755);
    return { imageCredentialProviderConfig: config, imageCredentialProviderBinDir: bin };
  }

  test('a registry that wants credentials: what was tried and what is missing is said', async () => {
    const wrong = { username: login.username, password: 'wrong' };
    giveSecret('old', wrong);
    await writeFile(join(work.path, 'config.json'), '{"credHelpers":{"gcr.io":"gcloud"}}');
    const puller = await open();
    const refused = String(await ensure(puller, pod('a', ['old', 'gone'])).catch((err: unknown) => err));
    expect(refused).toMatch(/unauthorized|authentication required/);
    expect(refused).toContain('credentials tried: Secret old');
    expect(refused).toContain('there is no Secret gone in namespace default, which imagePullSecrets name');
    expect(refused).toContain('credHelpers gcloud for gcr.io, which is not run');
    expect(String(await ensure(puller, pod('b')).catch((err: unknown) => err))).toContain('no credentials were found');
    expect(await readdir(join(work.path, 'image_manager', 'pulling'))).toEqual([]);
  });

  test('a pull secret gets the image, after one that does not; then only pods with such a secret may have it', async () => {
    giveSecret('old', { username: 'nobody', password: 'wrong' });
    giveSecret('good');
    giveSecret('copy');
    const puller = await open();
    const { imageId } = await ensure(puller, pod('a', ['old', 'good']));
    const before = seen.length;
    expect(await ensure(puller, pod('b', ['copy']))).toEqual({ imageId });
    expect(seen.slice(before)).toEqual([
      `Normal Pulled: Container image "${image}" already present on machine and can be accessed by the pod`,
    ]);
    await expect(ensure(puller, pod('c'))).rejects.toThrow('no credentials were found for it');
    await expect(ensure(puller, pod('d', [], 'Never'))).rejects.toThrow('is not present with pull policy of Never');
    // The next agent knows it too.
    const next = await open();
    await expect(ensure(next, pod('e'))).rejects.toThrow('no credentials were found for it');
    expect(await ensure(next, pod('f', ['good'], 'Never'))).toEqual({ imageId });
  });

  test("the node's docker configuration is for every pod, and read again when it changes", async () => {
    await writeFile(join(work.path, 'config.json'), dockerConfig({ ...login, password: 'wrong' }));
    const puller = await open();
    await expect(ensure(puller, pod('a'))).rejects.toThrow("credentials tried: the node's own");
    await rm(join(work.path, 'config.json'));
    await writeFile(join(work.path, 'config.json'), dockerConfig());
    const { imageId } = await ensure(puller, pod('a'));
    expect(await ensure(await open(), pod('b', [], 'Never'))).toEqual({ imageId });
  });

  test('a credential provider is asked once for its registry', async () => {
    const puller = await open(await giveProvider());
    await Promise.all([ensure(puller, pod('a', [], 'Always')), ensure(puller, pod('b', [], 'Always'))]);
    await ensure(puller, pod('c', [], 'Always'));
    const asked = await readFile(join(work.path, 'bin', 'asked'), 'utf8');
    expect(asked).toBe(
      `set --get\n{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"${registry.host}/team/box"}\n`,
    );
    expect(calls.list(({ call }) => call.interface === 'credential-provider')).toMatchObject([
      { call: { plugin: 'prov', verb: 'get' }, outcome: { response: { registries: [registry.host] } } },
    ]);
  });

  test("a credential provider with the account's token: its image is for pods of that account", async () => {
    const settings = `  tokenAttributes:
    serviceAccountTokenAudience: ${registry.host}
    cacheType: ServiceAccount
    requireServiceAccount: true
`;
    const puller = await open(await giveProvider(settings));
    const { imageId } = await ensure(puller, pod('a'));
    expect(await readFile(join(work.path, 'bin', 'asked'), 'utf8')).toContain(`"serviceAccountToken":"${token}"`);
    expect(await ensure(puller, pod('b', [], 'Never'))).toEqual({ imageId });
    const other = pod('c', [], 'Never');
    delete other.spec?.serviceAccountName;
    await expect(ensure(puller, other)).rejects.toThrow('is not present with pull policy of Never');
  });

  test('a credential provider that fails is named, with its own words', async () => {
    const puller = await open(await giveProvider('', 'cat answer.json; echo "no metadata server" >&2; exit 4'));
    await expect(ensure(puller, pod('a'))).rejects.toThrow(
      'no credentials were found for it; ask credential provider prov: exited with 4: no metadata server',
    );
  });
});
