import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CallRecorder, PluginCall, CallOutcome } from '../../../../base/call-recorder.js';
import { runProgram } from '../../../../base/run-program.js';
import { makeImageArchive, type ImageStoreOptions } from '../../../../cri/embedded/images/index.js';
import { sha256 } from '../../../../cri/embedded/images/oci-documents.js';
import { makeBusyboxImage } from '../../../setup/busybox-image.js';
import { missingProgram, never, tempFolder, TempStore } from './temp-store.js';
import {
  FaultyProxy,
  login,
  programsOf,
  UntrustedRegistry,
  TestRegistry,
  untilTrue,
} from '../../../support/test-registry.js';

const missing = await missingProgram('skopeo', 'docker-registry', 'htpasswd', '/bin/busybox');

function insecure(...hosts: readonly string[]): Partial<ImageStoreOptions> {
  return { registries: Object.fromEntries(hosts.map((host) => [host, { insecure: true }])) };
}

function pullOf(
  image: string,
  auth?: { username: string; password: string },
): { image: { image: string }; auth?: typeof auth } {
  return { image: { image }, ...(auth === undefined ? {} : { auth }) };
}

describe.skipIf(missing !== undefined)(`pulls (missing: ${missing ?? 'nothing'})`, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let open: TestRegistry;
  let locked: TestRegistry;
  let archive: string;
  let digest: string;

  beforeAll(async () => {
    folder = await tempFolder();
    open = await TestRegistry.open();
    locked = await TestRegistry.open({ auth: true });
    archive = join(folder.path, 'box.tar');
    await makeBusyboxImage({ path: archive, reference: 'box:1' });
    digest = await open.push(`oci-archive:${archive}`, 'team/box:1');
    await open.push(`oci-archive:${archive}`, 'team/box:docker', ['--format=v2s2']);
    await locked.push(`oci-archive:${archive}`, 'team/box:1');
  });

  afterAll(async () => {
    await open[Symbol.asyncDispose]();
    await locked[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test('by tag, by digest, and again; with progress and a record of each call', async () => {
    await using own = await tempFolder(['process', 'mount', 'listener']);
    const calls: Array<PluginCall & { outcome?: CallOutcome }> = [];
    const recorder: CallRecorder = {
      begin(call) {
        const entry: PluginCall & { outcome?: CallOutcome } = { ...call };
        calls.push(entry);
        return (outcome) => (entry.outcome = outcome);
      },
    };
    await using temp = await TempStore.open({ ...insecure(open.host), dir: own.path }, { recorder });
    const image = `${open.host}/team/box:1`;
    const heard: string[] = [];
    const pod = { sandboxConfig: { metadata: { uid: 'u-1', name: 'web', namespace: 'default' } } };
    const { imageRef } = await temp.store.pullImage({ ...pullOf(image), ...pod }, never, ({ text }) =>
      heard.push(text),
    );
    expect(heard[0]).toBe('asking the registry');
    expect(heard.at(-1)).toBe('unpacking layer 1 of 1');
    const stored = temp.store.find(image);
    expect(stored).toMatchObject({ id: imageRef, repoTags: [image], repoDigests: [`${open.host}/team/box@${digest}`] });
    expect(calls.map((call) => call.verb)).toEqual(['inspect', 'copy']);
    expect(calls[0]).toMatchObject({
      interface: 'image',
      plugin: 'skopeo',
      subject: { object: image, podUid: 'u-1', podName: 'web', podNamespace: 'default' },
      outcome: {},
    });
    // What is here is not copied again, but the registry is asked.
    const byDigest = await temp.store.pullImage(pullOf(`${open.host}/team/box@${digest}`), never);
    expect(byDigest.imageRef).toBe(imageRef);
    expect(calls.map((call) => call.verb)).toEqual(['inspect', 'copy', 'inspect']);
    expect(temp.store.find(`${open.host}/team/box:ignored@${digest}`)?.id).toBe(imageRef);
    const reopened = await temp.reopen();
    expect(reopened.find(image)).toEqual(stored);
  });

  test('a digest pull alone gives no tag', async () => {
    await using temp = await TempStore.open(insecure(open.host));
    const name = `${open.host}/team/box@${digest}`;
    await temp.store.pullImage(pullOf(name), never);
    expect(temp.store.find(name)).toMatchObject({ repoTags: [], repoDigests: [name] });
  });

  test("Docker's manifests keep the registry's digest", async () => {
    await using temp = await TempStore.open(insecure(open.host));
    const image = `${open.host}/team/box:docker`;
    await temp.store.pullImage(pullOf(image), never);
    const raw = await fetch(`http://${open.host}/v2/team/box/manifests/docker`, {
      headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
    });
    expect(temp.store.find(image)?.repoDigests).toEqual([`${open.host}/team/box@${sha256(await raw.text())}`]);
  });

  test("of many platforms this machine's is taken; none is said so", async () => {
    await using work = await tempFolder();
    const variants = new Map<string, { digest: string; size: number }>();
    for (const architecture of ['amd64', 'arm64', 's390x']) {
      const rootfs = join(work.path, architecture);
      await mkdir(rootfs);
      await writeFile(join(rootfs, 'arch'), architecture);
      const path = join(work.path, `${architecture}.tar`);
      await makeImageArchive(
        { path, reference: 'x:1', layers: [{ rootfs }], architecture },
        { run: runProgram },
        never,
      );
      const pushed = await open.push(`oci-archive:${path}`, `multi:${architecture}`);
      const body = await fetch(`http://${open.host}/v2/multi/manifests/${architecture}`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      });
      variants.set(architecture, { digest: pushed, size: (await body.arrayBuffer()).byteLength });
    }
    const put = async (tag: string, architectures: readonly string[]): Promise<string> => {
      const mediaType = 'application/vnd.oci.image.index.v1+json';
      const manifests = architectures.map((architecture) => ({
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        ...variants.get(architecture),
        platform: { os: 'linux', architecture },
      }));
      const body = JSON.stringify({ schemaVersion: 2, mediaType, manifests });
      await open.putManifest('multi', tag, mediaType, body);
      return sha256(body);
    };
    const own = process.arch === 'x64' ? 'amd64' : process.arch;
    const index = await put('all', ['s390x', 'arm64', 'amd64']);
    await put('foreign', ['s390x']);
    await using temp = await TempStore.open(insecure(open.host));
    await temp.store.pullImage(pullOf(`${open.host}/multi:all`), never);
    const image = temp.store.find(`${open.host}/multi:all`);
    expect(await readFile(join(String(image?.lowerDirs[0]), 'arch'), 'utf8')).toBe(own);
    expect(image?.repoDigests).toEqual([`${open.host}/multi@${index}`]);
    await expect(temp.store.pullImage(pullOf(`${open.host}/multi:foreign`), never)).rejects.toMatchObject({
      failure: { reason: 'no-matching-platform' },
    });
    const other = { os: 'linux', architecture: 'arm64' };
    await using arm = await TempStore.open({ ...insecure(open.host), platform: other });
    await arm.store.pullImage(pullOf(`${open.host}/multi:all`), never);
    const armImage = arm.store.find(`${open.host}/multi:all`);
    expect(await readFile(join(String(armImage?.lowerDirs[0]), 'arch'), 'utf8')).toBe('arm64');
  });

  test('with a password, without, and with a wrong one', async () => {
    const argvs: string[] = [];
    const records: string[] = [];
    const secrets = { run: [] as string[] };
    await using temp = await TempStore.open(insecure(locked.host), {
      run: async (options, signal) => {
        argvs.push(JSON.stringify([options.argv, options.env]));
        for (const dir of ['/run', '/dev/shm']) {
          secrets.run.push(
            ...(await readdir(dir)).filter((name) => name.startsWith('berth-login-')).map((name) => join(dir, name)),
          );
        }
        return await runProgram(options, signal);
      },
      recorder: {
        begin(call) {
          records.push(JSON.stringify(call));
          return (outcome) => void records.push(JSON.stringify(outcome));
        },
      },
    });
    const image = `${locked.host}/team/box:1`;
    const refused = { failure: { reason: 'unauthorized', code: 'permission-denied' } };
    await expect(temp.store.pullImage(pullOf(image), never)).rejects.toMatchObject(refused);
    const wrong = { ...login, password: 'wrong' };
    await expect(temp.store.pullImage(pullOf(image, wrong), never)).rejects.toMatchObject(refused);
    expect(temp.store.usage().images).toEqual([]);
    const { imageRef } = await temp.store.pullImage(pullOf(image, login), never);
    expect(imageRef).toMatch(/^sha256:/);
    const auth = Buffer.from(`${login.username}:${login.password}`).toString('base64');
    await temp.store.pullImage({ image: { image }, auth: { auth } }, never);
    // That the image is here gives it to nobody: the registry decides.
    await expect(temp.store.pullImage(pullOf(image), never)).rejects.toMatchObject(refused);
    const elsewhere = { ...login, serverAddress: 'https://example.com' };
    await expect(temp.store.pullImage({ image: { image }, auth: elsewhere }, never)).rejects.toMatchObject(refused);
    for (const text of [...argvs, ...records]) {
      expect(text).not.toContain('se:cret');
      expect(text).not.toContain(auth);
    }
    expect(secrets.run.length).toBeGreaterThan(0);
    for (const path of new Set(secrets.run)) await expect(readdir(path)).rejects.toThrow('ENOENT');
  });

  test('what is wrong is said: no such image, no registry, trouble there, no TLS, a bad name', async () => {
    await using proxy = await FaultyProxy.open(open.host);
    await using temp = await TempStore.open(insecure(open.host, proxy.host, '127.0.0.1:1'));
    const failure = async (image: string): Promise<unknown> =>
      temp.store.pullImage(pullOf(image), never).then(
        () => 'no failure',
        (err: { failure: unknown; message: string }) => ({ ...(err.failure as object), message: err.message }),
      );
    expect(await failure(`${open.host}/team/box:none`)).toMatchObject({
      reason: 'not-found',
      code: 'not-found',
      message: expect.stringContaining('manifest unknown') as string,
    });
    expect(await failure(`${open.host}/nobody:1`)).toMatchObject({ reason: 'not-found' });
    expect(await failure('127.0.0.1:1/x:1')).toMatchObject({
      reason: 'registry-unavailable',
      code: 'unavailable',
      pullReason: 'RegistryUnavailable',
      message: expect.stringContaining('connection refused') as string,
    });
    proxy.status = 503;
    expect(await failure(`${proxy.host}/team/box:1`)).toMatchObject({ reason: 'registry-unavailable' });
    proxy.status = 403;
    expect(await failure(`${proxy.host}/team/box:1`)).toMatchObject({ reason: 'unauthorized' });
    expect(await failure('team/Case:1')).toMatchObject({ reason: 'name-invalid', code: 'invalid-argument' });
    // What is configured for a registry holds for one on the loopback, too.
    await using strict = await TempStore.open({ registries: { [open.host]: {} } });
    await expect(strict.store.pullImage(pullOf(`${open.host}/team/box:1`), never)).rejects.toMatchObject({
      failure: { reason: 'registry-untrusted', pullReason: 'RegistryUnavailable' },
    });
    await using noSkopeo = await TempStore.open({ skopeoPath: '/nonexistent/skopeo' });
    await expect(noSkopeo.store.pullImage(pullOf('x:1'), never)).rejects.toMatchObject({
      failure: { reason: 'program-missing' },
    });
  });

  test('a registry on the loopback that speaks plain http only needs no word of the operator; a certificate must be good', async () => {
    const calls: string[] = [];
    const recorder: CallRecorder = {
      begin: ({ verb, request }) => {
        const { args } = request as { args: readonly string[] };
        const unverified = args.find((arg) => arg.endsWith('tls-verify=false')) ?? '';
        return ({ error }) => void calls.push([verb, unverified, error?.code ?? 'ok'].join(' '));
      },
    };
    await using temp = await TempStore.open({}, { recorder });
    const byName = `localhost:${open.host.split(':')[1]}/team/box:1`;
    for (const image of [`${open.host}/team/box:1`, byName]) {
      calls.length = 0;
      await temp.store.pullImage(pullOf(image), never);
      expect(calls.slice(0, 2)).toEqual(['inspect  registry-untrusted', 'inspect --tls-verify=false ok']);
      expect(temp.store.find(image)).toBeDefined();
    }
    await using fresh = await TempStore.open({}, { recorder });
    calls.length = 0;
    const image = `${locked.host}/team/box:1`;
    await fresh.store.pullImage(pullOf(image, login), never);
    expect(calls.at(-1)).toBe('copy --src-tls-verify=false ok');

    await using untrusted = await UntrustedRegistry.open();
    calls.length = 0;
    await expect(temp.store.pullImage(pullOf(`${untrusted.host}/x:1`, login), never)).rejects.toMatchObject({
      failure: { reason: 'registry-untrusted' },
    });
    expect(calls).toEqual(['inspect  registry-untrusted']);
    expect(untrusted.requests).toEqual([]);
  });

  test('a registry that goes silent is given up, what came stays out, and the next pull works', async () => {
    await using proxy = await FaultyProxy.open(open.host);
    // Patience is short only where the registry is silent: on a busy machine a program may need a second to begin.
    await using temp = await TempStore.open({ ...insecure(proxy.host), resolveTimeoutMs: 500 });
    const image = `${proxy.host}/team/box:1`;
    proxy.silent = true;
    await expect(temp.store.pullImage(pullOf(image), never)).rejects.toMatchObject({
      failure: { reason: 'timed-out', code: 'deadline-exceeded' },
    });
    proxy.silent = false;
    await temp.reopen({ resolveTimeoutMs: undefined, stallTimeoutMs: 4000 });
    proxy.stallAfterBytes = 100_000;
    const heard: string[] = [];
    const pull = temp.store.pullImage(pullOf(image), never, ({ text }) => heard.push(text));
    await expect(pull).rejects.toMatchObject({ failure: { reason: 'timed-out' } });
    await expect(pull).rejects.toThrow('nothing came from the registry');
    expect(heard).toContainEqual(expect.stringMatching(/^copying: 0\.[01] MiB of \d/));
    expect(await temp.content()).toMatchObject({ layers: [], records: [], work: [] });
    expect(await programsOf(temp.dir)).toEqual([]);
    proxy.stallAfterBytes = undefined;
    const patient = await temp.reopen({ resolveTimeoutMs: undefined });
    await patient.pullImage(pullOf(image), never);
    expect(patient.find(image)).toBeDefined();
  });

  test('the same pull asked for three times is made once; it ends when the last one gives up', async () => {
    await using proxy = await FaultyProxy.open(open.host);
    const verbs: string[] = [];
    const recorder: CallRecorder = { begin: (call) => (verbs.push(call.verb), () => {}) };
    await using temp = await TempStore.open(insecure(proxy.host), { recorder });
    const image = `${proxy.host}/team/box:1`;
    const three = await Promise.all([1, 2, 3].map(async () => temp.store.pullImage(pullOf(image), never)));
    expect(new Set(three.map((one) => one.imageRef)).size).toBe(1);
    expect(verbs).toEqual(['inspect', 'copy']);
    await temp.store.removeImage({ image: { image } }, never);

    proxy.stallAfterBytes = 1000;
    const [first, second] = [new AbortController(), new AbortController()];
    const before = proxy.stalledBlobs;
    const pulls = [first, second].map(async ({ signal }) => temp.store.pullImage(pullOf(image), signal));
    for (const pull of pulls) pull.catch(() => {});
    await untilTrue('a blob is asked for', () => proxy.stalledBlobs > before);
    first.abort(new Error('first gave up'));
    await expect(pulls[0]).rejects.toThrow('first gave up');
    expect((await programsOf(temp.dir)).length).toBeGreaterThan(0);
    second.abort(new Error('second gave up'));
    await expect(pulls[1]).rejects.toThrow('second gave up');
    expect(await programsOf(temp.dir)).toEqual([]);
    expect((await temp.content()).work).toEqual([]);
    proxy.stallAfterBytes = undefined;
    await temp.store.pullImage(pullOf(image), never);
  });

  test('killed in the middle of a pull: the next start cleans up and the next pull works', async () => {
    await using proxy = await FaultyProxy.open(open.host);
    await using temp = await TempStore.open(insecure(proxy.host));
    const image = `${proxy.host}/team/box:1`;
    proxy.stallAfterBytes = 200_000;
    const stop = new AbortController();
    const pull = temp.store.pullImage(pullOf(image), stop.signal);
    pull.catch(() => {});
    await untilTrue('a part has come', async () => {
      const parts = await readdir(join(temp.dir, 'tmp'), { recursive: true });
      return parts.some((name) => name.includes('oci-put-blob'));
    });
    // What lies on the disk at this moment is what kill -9 leaves.
    await using killed = await tempFolder();
    await cp(temp.dir, killed.path, { recursive: true });
    stop.abort();
    await pull.catch(() => {});
    expect(await readdir(join(killed.path, 'tmp'))).not.toEqual([]);
    proxy.stallAfterBytes = undefined;
    await using after = await TempStore.open({ ...insecure(proxy.host), dir: killed.path });
    expect(await after.content()).toMatchObject({ layers: [], records: [], work: [], blobs: [] });
    await after.store.pullImage(pullOf(image), never);
    expect(after.store.find(image)).toBeDefined();
  });

  test('closing the store ends its pulls', async () => {
    await using proxy = await FaultyProxy.open(open.host);
    await using temp = await TempStore.open(insecure(proxy.host));
    proxy.stallAfterBytes = 0;
    const pull = temp.store.pullImage(pullOf(`${proxy.host}/team/box:1`), never);
    pull.catch(() => {});
    await untilTrue('a blob is asked for', () => proxy.stalledBlobs > 0);
    await temp.store[Symbol.asyncDispose]();
    await expect(pull).rejects.toMatchObject({ failure: { code: 'cancelled' } });
    expect(await programsOf(temp.dir)).toEqual([]);
  });

  test('a blob that was damaged on the disk is fetched again', async () => {
    await using temp = await TempStore.open(insecure(open.host));
    const image = `${open.host}/team/box:1`;
    const { imageRef } = await temp.store.pullImage(pullOf(image), never);
    const config = join(temp.dir, 'oci/blobs/sha256', String(imageRef).slice(7));
    await writeFile(config, 'damaged');
    await temp.store.pullImage(pullOf(image), never);
    expect(sha256(await readFile(config))).toBe(imageRef);
    // An unpacked layer that is lost with its record comes back from its blob.
    for (const name of await readdir(join(temp.dir, 'layers'))) await rm(join(temp.dir, 'layers', name));
    const again = await temp.reopen();
    expect((await readdir(String(again.find(image)?.lowerDirs[0]))).includes('bin')).toBe(true);
  });
});
