import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import type { Pod } from '../api/index.js';
import { inUserNamespace, UserNamespaces, type UserNamespacesOptions } from './user-namespaces.js';

const block = 65_536;

class Folder implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<Folder> {
    return new Folder(await mkdtemp(join(tmpdir(), 'berth-userns-')));
  }

  async pod(uid: string, hostUsers = false): Promise<Pod> {
    await mkdir(join(this.path, uid));
    return { metadata: { uid }, spec: { hostUsers, containers: [] } };
  }

  users(more: Partial<UserNamespacesOptions> = {}, supported = true): UserNamespaces {
    return new UserNamespaces(
      {
        ...{ podsDir: this.path, idsPerPod: block, maxPods: 2 },
        subuidPath: join(this.path, 'subuid'),
        subgidPath: join(this.path, 'subgid'),
        ...more,
      },
      { log: silentLogger, supported: () => Promise.resolve(supported) },
    );
  }

  async subordinate(uids: string, gids = uids): Promise<void> {
    await writeFile(join(this.path, 'subuid'), uids);
    await writeFile(join(this.path, 'subgid'), gids);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true });
  }
}

test('ranges are taken one after another, kept, and free again with the folder of the pod', async ({ signal }) => {
  await using folder = await Folder.make();
  const users = folder.users();
  const take = async (pod: Pod): Promise<number | undefined> =>
    (await users.assign(pod, '', signal))?.uids?.[0]?.hostId;
  const [a, b] = [await folder.pod('a'), await folder.pod('b')];
  expect(await take(await folder.pod('host', true))).toBeUndefined();
  expect(await take(a)).toBe(block);
  expect(await take(b)).toBe(2 * block);
  expect(await take(a)).toBe(block);
  expect(folder.users().of(b)?.gids).toEqual([{ hostId: 2 * block, containerId: 0, length: block }]);
  expect(JSON.parse(await readFile(join(folder.path, 'a', 'userns'), 'utf8'))).toEqual({
    uidMappings: [{ hostId: block, containerId: 0, length: block }],
    gidMappings: [{ hostId: block, containerId: 0, length: block }],
  });
  await rm(join(folder.path, 'a'), { recursive: true });
  expect(() => users.of(a)).toThrow(/lost/);
  expect(await take(await folder.pod('c'))).toBe(block);
  await writeFile(join(folder.path, 'b', 'userns'), '{"uidMappings":');
  expect(await take(b)).toBe(2 * block);
});

test('the ids of the user kubelet are used up to the last, and no others', async ({ signal }) => {
  await using folder = await Folder.make();
  await folder.subordinate(`someone:100000:65536\nkubelet:${10 * block}:${2 * block}\n`);
  const users = folder.users();
  for (const [at, uid] of ['a', 'b'].entries()) {
    const found = await users.assign(await folder.pod(uid), '', signal);
    expect(found?.uids?.[0]?.hostId).toBe((10 + at) * block);
  }
  await expect(users.assign(await folder.pod('c'), '', signal)).rejects.toThrow(/no free range/);
});

test.each([
  ['more than one', `kubelet:65536:131072\nkubelet:655360:131072\n`, undefined, /more than one entry/],
  ['no groups', `kubelet:65536:131072`, '', /differ/],
  ['other groups', `kubelet:65536:131072`, 'kubelet:131072:131072', /differ/],
  ['not at a border', `kubelet:100000:131072`, undefined, /do not begin at a multiple/],
  ["the host's own", `kubelet:0:655360`, undefined, /do not begin at a multiple/],
  ['too few', `kubelet:65536:65536`, undefined, /do not have 65536 ids for each of 2 pods/],
])('entries of kubelet that cannot be used: %s', async (_, uids, gids, words) => {
  await using folder = await Folder.make();
  await folder.subordinate(uids, gids);
  const pod = await folder.pod('a');
  await expect(folder.users().assign(pod, '', new AbortController().signal)).rejects.toThrow(words);
});

test('a runtime without user namespaces is not asked for one', async ({ signal }) => {
  await using folder = await Folder.make();
  const pod = await folder.pod('a');
  await expect(folder.users({}, false).assign(pod, 'runc', signal)).rejects.toThrow(
    'hostUsers is false and runtime handler runc does not support user namespaces',
  );
});

test('a container and its mounts follow the pod', () => {
  const uids = [{ hostId: block, containerId: 0, length: block }];
  const users = { mode: 'POD', uids, gids: uids } as const;
  const config = {
    mounts: [{ containerPath: '/a' }],
    linux: { securityContext: { namespaceOptions: { pid: 'POD' } } },
  };
  expect(inUserNamespace(config as never, users)).toEqual({
    mounts: [{ containerPath: '/a', uidMappings: uids, gidMappings: uids }],
    linux: { securityContext: { namespaceOptions: { pid: 'POD', usernsOptions: users } } },
  });
  expect(inUserNamespace(config as never, undefined)).toBe(config);
});
