import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import type { ImageService } from '../../cri/index.js';
import { AccessCounts } from './access-counts.js';
import { ImageAccess, type VerificationPolicy } from './image-access.js';
import type { PullCredential } from './keyring.js';
import { credentialHash } from './merge-access.js';
import { PullRecords } from './pull-records.js';

const signal = new AbortController().signal;
const image = 'r.example/app:1';
const id = 'sha256:1234';
let root: string;
let now: number;
let counts: AccessCounts;
let present: { id: string; repoTags: string[]; repoDigests: string[] }[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-access-'));
  now = Date.parse('2026-01-02T03:04:05Z');
  present = [{ id, repoTags: [image], repoDigests: [] }];
});
afterEach(() => rm(root, { recursive: true }));

async function open(policy: VerificationPolicy['policy'] = 'NeverVerifyPreloadedImages', allowlist: string[] = []) {
  const images = { listImages: () => Promise.resolve({ images: present }) } as unknown as ImageService;
  const records = await PullRecords.open(root, silentLogger);
  counts = new AccessCounts(records);
  const checked: AccessCounts['checked'] = (result) => counts.checked(result);
  return await ImageAccess.open(
    { policy, allowlist },
    records,
    { clock: { now: () => now }, log: silentLogger, images, checked },
    signal,
  );
}

const secret = (name: string, password = name): PullCredential => ({
  auth: { username: 'u', password },
  source: { kind: 'secret', uid: `uid-${name}`, namespace: 'default', name },
});
const account = (name: string): PullCredential => ({
  auth: { username: 'u', password: 'p' },
  source: { kind: 'service-account', uid: `uid-${name}`, namespace: 'default', name },
});

async function pull(access: ImageAccess, credential: PullCredential | undefined, name = image): Promise<void> {
  await access.pulling(name);
  await access.pulled(name, id, credential, signal);
}
const asks = (access: ImageAccess, ...own: PullCredential[]): Promise<boolean> =>
  access.mustPull(image, id, () => Promise.resolve(own));

test('what was here before anybody pulled is for everybody; what was pulled is for who could pull it', async () => {
  const access = await open();
  expect(await asks(access)).toBe(false);
  await pull(access, secret('mine'));
  expect(await asks(access)).toBe(true);
  expect(await asks(access, secret('other'))).toBe(true);
  expect(await asks(access, secret('mine'))).toBe(false);
  expect(await asks(access, secret('copy', 'mine')), 'the same credentials in another Secret').toBe(false);
  expect(await asks(access, secret('mine', 'changed')), 'the same Secret with others').toBe(false);
  expect(await asks(access, account('mine'))).toBe(true);
  await pull(access, account('robot'));
  expect(await asks(access, account('robot'))).toBe(false);
  await pull(access, undefined);
  expect(await asks(access), 'pulled without credentials').toBe(false);
});

test('what was found is counted in the words of the kubelet, beside what is recorded', async () => {
  const access = await open();
  await asks(access);
  await pull(access, secret('mine'));
  await asks(access, secret('mine'));
  await asks(access, secret('other'));
  await expect(access.mustPull(image, id, () => Promise.reject(new Error('no such Secret')))).rejects.toThrow(
    'no such',
  );
  await access.pulling('r.example/other:1');
  const shown = counts.all.flatMap((each) => each.snapshot().values);
  expect(shown.map(({ labels, value }) => [...Object.values(labels), value])).toEqual([
    ...[
      ['credentialPolicyAllowed', 1],
      ['credentialRecordFound', 1],
      ['mustAuthenticate', 1],
      ['error', 1],
    ],
    ...[[1], [1]],
  ]);
});

test("the files are the kubelet's, hold no password, and are for root alone", async () => {
  const access = await open();
  await access.pulling(image);
  const [intent = ''] = await readdir(join(root, 'image_manager/pulling'));
  expect(JSON.parse(await readFile(join(root, 'image_manager/pulling', intent), 'utf8'))).toEqual({
    kind: 'ImagePullIntent',
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    image,
  });
  await access.pulled(image, id, secret('mine', 'hunter2'), signal);
  expect(await readdir(join(root, 'image_manager/pulling'))).toEqual([]);
  const [name = ''] = await readdir(join(root, 'image_manager/pulled'));
  // sha256 of "sha256:1234"
  expect(name).toMatch(/^sha256-[0-9a-f]{64}$/);
  const path = join(root, 'image_manager/pulled', name);
  const text = await readFile(path, 'utf8');
  expect(text).not.toContain('hunter2');
  expect(JSON.parse(text)).toEqual({
    kind: 'ImagePulledRecord',
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    lastUpdatedTime: '2026-01-02T03:04:05Z',
    imageRef: id,
    credentialMapping: {
      'r.example/app': {
        kubernetesSecrets: [
          {
            uid: 'uid-mine',
            namespace: 'default',
            name: 'mine',
            credentialHash: credentialHash(secret('x', 'hunter2')),
          },
        ],
      },
    },
  });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await stat(join(root, 'image_manager/pulled'))).mode & 0o777).toBe(0o700);
});

test('credentials are hashed as Go writes their JSON', () => {
  // sha256 of {"username":"u","password":"a\u003cb\u0026c"}
  expect(credentialHash(secret('x', 'a<b&c'))).toBe('b81e7031ed7fe3efd15cadb501e3fea2c0b959bbd360f30854a3f50b7454ac2c');
});

test('another agent, or a kubelet, goes on with what is there; records of images that are gone go', async () => {
  await pull(await open(), secret('mine'));
  expect(await asks(await open(), secret('mine'))).toBe(false);
  expect(await asks(await open(), secret('other'))).toBe(true);
  present = [];
  now += 1000;
  await open();
  expect(await readdir(join(root, 'image_manager/pulled'))).toEqual([]);
});

test('a pull that a kill cut short makes the image known as pulled, with nobody let in', async () => {
  await (await open()).pulling('app.example/x');
  present = [{ id, repoTags: ['app.example/x:latest'], repoDigests: [] }];
  const access = await open();
  expect(await readdir(join(root, 'image_manager/pulling'))).toEqual([]);
  expect(await access.mustPull('app.example/x', id, () => Promise.resolve([secret('mine')]))).toBe(true);
});

test('the intent goes with the last of the pulls, also of those that failed', async () => {
  const access = await open();
  await access.pulling(image);
  await access.pulling(image);
  await access.failed(image);
  expect(await readdir(join(root, 'image_manager/pulling'))).toHaveLength(1);
  expect(await asks(access), 'a pull is under way').toBe(true);
  await access.failed(image);
  expect(await readdir(join(root, 'image_manager/pulling'))).toEqual([]);
});

test('a record that cannot be read lets nobody in until the image was pulled again', async () => {
  await pull(await open(), secret('mine'));
  const [name = ''] = await readdir(join(root, 'image_manager/pulled'));
  await writeFile(join(root, 'image_manager/pulled', name), '{"kind":"ImagePulledRecord","imageRef":');
  const access = await open();
  expect(await asks(access, secret('mine'))).toBe(true);
  await pull(access, secret('mine'));
  expect(await asks(access, secret('mine'))).toBe(false);
});

test.each([
  ['NeverVerify', [], false, false],
  ['NeverVerifyPreloadedImages', [], false, true],
  ['NeverVerifyAllowlistedImages', ['r.example/app'], false, false],
  ['NeverVerifyAllowlistedImages', ['r.example/*'], false, false],
  ['NeverVerifyAllowlistedImages', ['r.example/ap'], true, true],
  ['AlwaysVerify', [], true, true],
] as const)('%s %j: preloaded %s, pulled by another %s', async (policy, allowlist, preloaded, pulled) => {
  const access = await open(policy, [...allowlist]);
  expect(await asks(access, secret('other'))).toBe(preloaded);
  await pull(access, secret('mine'));
  expect(await asks(access, secret('other'))).toBe(pulled);
});
