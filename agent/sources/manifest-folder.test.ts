import { chmod, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { podKey } from '../api/index.js';
import { ManifestFolder, type ManifestFolderOptions } from './manifest-folder.js';
import { mergeSources } from './merge-sources.js';
import type { SourceSnapshot } from './pod-source.js';

vi.setConfig({ testTimeout: 70_000 });

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-manifests-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A running source whose deliveries can be waited for. */
class Running implements AsyncDisposable {
  readonly source: ManifestFolder;
  readonly snapshots: SourceSnapshot[] = [];
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  #notify = (): void => {};

  constructor(options: Partial<ManifestFolderOptions> = {}) {
    this.source = new ManifestFolder(
      { path: folder, nodeName: 'Node1', nameSuffix: false, apiReferences: true, otherKinds: true, ...options },
      { log: silentLogger },
    );
    this.#done = this.source.run((snapshot) => {
      this.snapshots.push(snapshot);
      this.#notify();
    }, this.#abort.signal);
  }

  get pods(): string[] {
    return (this.snapshots.at(-1)?.pods ?? []).map(podKey);
  }

  get broken(): string[] {
    return this.source.reports.flatMap(({ file, problems }) =>
      problems.map(
        ({ line, column, path, message }) => `${file.slice(folder.length + 1)}:${line}:${column} ${path}: ${message}`,
      ),
    );
  }

  /** Waits until `condition` holds after some delivery; fails after a minute. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!condition()) {
      const left = deadline - Date.now();
      if (left <= 0)
        throw new Error(`not so in time: pods ${this.pods.join(', ')}; problems ${this.broken.join(', ')}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }
}

const pod = (name: string, image = 'busybox:1', spec = ''): string =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\nspec:\n  containers:\n  - name: a\n    image: ${image}\n${spec}`;
const imagesOf = (snapshot: SourceSnapshot | undefined): Array<string | undefined> =>
  (snapshot?.pods ?? []).map((each) => each.spec?.containers[0]?.image);

test('an empty folder and a missing one deliver an empty set: the source is synced', async () => {
  await using empty = new Running();
  await using missing = new Running({ path: join(folder, 'none') });
  await empty.until(() => empty.snapshots.length === 1);
  await missing.until(() => missing.snapshots.length === 1);
  expect([empty.pods, missing.pods]).toEqual([[], []]);
});

test('files are read in order; dotfiles and subfolders are not', async () => {
  await writeFile(join(folder, 'b.yaml'), pod('b'));
  await writeFile(
    join(folder, 'a.json'),
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a' },
      spec: { containers: [{ name: 'a', image: 'x' }] },
    }),
  );
  await writeFile(join(folder, '.c.yaml'), pod('c'));
  await mkdir(join(folder, 'd.yaml'));
  await writeFile(join(folder, 'd.yaml', 'e.yaml'), pod('e'));
  await symlink(join(folder, 'd.yaml', 'e.yaml'), join(folder, 'f.yaml'));
  await using running = new Running();
  await running.until(() => running.snapshots.length > 0);
  expect(running.pods).toEqual(['default/a', 'default/b', 'default/e']);
});

test('a file that cannot be read at the start is not an empty one: the others run, and nobody takes its pods for gone', async () => {
  await writeFile(join(folder, 'a.yaml'), pod('a'));
  // Whoever reads it is told of an I/O error, root too.
  await symlink('/proc/self/mem', join(folder, 'b.yaml'));
  await using running = new Running({ recheckMs: 3_600_000 });
  await running.until(() => running.pods.join() === 'default/a');
  const merged = (): boolean =>
    mergeSources(['file'], new Map(running.snapshots.map((snapshot) => ['file', snapshot]))).allSynced;
  expect(running.broken).toEqual([expect.stringMatching(/^b\.yaml.*cannot be read: EIO/)]);
  expect(merged()).toBe(false);
  await writeFile(join(folder, 'new'), pod('b'));
  await rename(join(folder, 'new'), join(folder, 'b.yaml'));
  await running.until(() => running.pods.length === 2);
  await running.until(merged);
  // What it held is known from now on.
  await symlink('/proc/self/mem', join(folder, 'next'));
  await rename(join(folder, 'next'), join(folder, 'b.yaml'));
  await running.until(() => running.broken.length === 1 && running.snapshots.length > 2);
  expect([running.pods.length, merged()]).toEqual([2, true]);
});

test('a change of the folder is delivered without waiting for the next check', async () => {
  await using running = new Running({ recheckMs: 3_600_000 });
  await running.until(() => running.snapshots.length === 1);
  await writeFile(join(folder, 'a.yaml'), pod('a'));
  await running.until(() => running.pods.join() === 'default/a');
  await writeFile(join(folder, 'new'), pod('b'));
  await running.until(() => running.pods.length === 2);
  await rename(join(folder, 'new'), join(folder, 'a.yaml'));
  await running.until(() => running.pods.join() === 'default/b');
  await rm(join(folder, 'a.yaml'));
  await running.until(() => running.pods.length === 0);
});

test('a folder that comes later is found, and one that is replaced', async () => {
  const path = join(folder, 'later');
  await using running = new Running({ path, recheckMs: 3_600_000 });
  await running.until(() => running.snapshots.length === 1);
  await mkdir(path);
  await writeFile(join(path, 'a.yaml'), pod('a'));
  await running.until(() => running.pods.join() === 'default/a');
  await rename(path, join(folder, 'old'));
  await running.until(() => running.pods.length === 0);
  await mkdir(path);
  await writeFile(join(path, 'b.yaml'), pod('b'));
  await running.until(() => running.pods.join() === 'default/b');
});

test('a single file may be the source, also when it is replaced', async () => {
  const path = join(folder, 'pod.yaml');
  await writeFile(path, pod('a'));
  await writeFile(join(folder, 'other.yaml'), pod('other'));
  await using running = new Running({ path, recheckMs: 3_600_000 });
  await running.until(() => running.pods.join() === 'default/a');
  await writeFile(join(folder, 'next'), pod('b'));
  await rename(join(folder, 'next'), path);
  await running.until(() => running.pods.join() === 'default/b');
});

describe('trouble in one file stops nothing', () => {
  test('a broken version is reported and the last good one stays', async () => {
    await writeFile(join(folder, 'a.yaml'), pod('a'));
    await writeFile(join(folder, 'b.yaml'), pod('b'));
    await using running = new Running();
    await running.until(() => running.pods.length === 2);
    await writeFile(join(folder, 'a.yaml'), pod('a', 'busybox:2').replace('image', 'imagee'));
    await running.until(() => running.broken.length > 0);
    expect(running.broken).toEqual(['a.yaml:8:5 spec.containers[0].imagee: unknown field; did you mean "image"?']);
    expect(imagesOf(running.snapshots.at(-1))).toEqual(['busybox:1', 'busybox:1']);
    expect(running.source.reports.map(({ ok, objects }) => [ok, objects])).toEqual([
      [false, [{ kind: 'Pod', key: 'default/a', kept: true }]],
      [true, [{ kind: 'Pod', key: 'default/b', kept: false }]],
    ]);
    await writeFile(join(folder, 'a.yaml'), pod('a', 'busybox:3'));
    await running.until(() => running.broken.length === 0);
    expect(imagesOf(running.snapshots.at(-1))).toEqual(['busybox:3', 'busybox:1']);
  });

  test('of two documents, one broken: the good one runs, the broken one as it was', async () => {
    await writeFile(join(folder, 'a.yaml'), `${pod('a')}---\n${pod('b')}`);
    await using running = new Running();
    await running.until(() => running.pods.length === 2);
    await writeFile(join(folder, 'a.yaml'), `${pod('a', 'busybox:2')}---\n${pod('b', '""')}`);
    await running.until(() => running.broken.length > 0);
    expect(running.broken).toEqual(['a.yaml:17:5 spec.containers[0].image: Required value']);
    expect(running.source.reports[0]?.problems[0]?.object).toBe('Pod default/b');
    expect(imagesOf(running.snapshots.at(-1))).toEqual(['busybox:2', 'busybox:1']);
  });

  test('a file that was cut to nothing, as by a writer that is not done', async () => {
    await writeFile(join(folder, 'a.yaml'), pod('a'));
    await using running = new Running();
    await running.until(() => running.pods.length === 1);
    await truncate(join(folder, 'a.yaml'));
    await running.until(() => running.broken.length > 0);
    expect(running.pods).toEqual(['default/a']);
  });

  test.each<[string, string | Uint8Array, RegExp]>([
    ['2 MB of nesting', '['.repeat(2_000_000), /nested deeper than/],
    ['a file that is too large', new Uint8Array(10 * 1024 * 1024 + 1), /larger than 10 MiB/],
    ['tabs', 'apiVersion: v1\n\tkind: Pod\n', /tab/],
    ['a duplicate object', `${pod('x')}---\n${pod('x', 'other:1')}`, /Duplicate value/],
    [
      'another kind than can be run',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n',
      /a node runs pods/,
    ],
  ])('%s', async (_, content, message) => {
    await writeFile(join(folder, 'a.yaml'), content);
    await writeFile(join(folder, 'b.yaml'), pod('b'));
    await using running = new Running();
    await running.until(() => running.snapshots.length > 0);
    expect(running.pods).toContain('default/b');
    expect(running.broken.join('\n')).toMatch(message);
  });

  test('mode changes and touches deliver nothing new', async () => {
    await writeFile(join(folder, 'a.yaml'), pod('a'));
    await using running = new Running({ recheckMs: 3_600_000 });
    await running.until(() => running.pods.length === 1);
    const [before] = running.snapshots.at(-1)?.pods ?? [];
    await chmod(join(folder, 'a.yaml'), 0o600);
    await writeFile(join(folder, 'b.yaml'), pod('b'));
    await running.until(() => running.pods.length === 2);
    expect(running.snapshots.at(-1)?.pods[0]).toEqual(before);
  });
});

test('a link that changes its target, as a mounted ConfigMap does, and one to nowhere', async () => {
  for (const version of ['1', '2']) {
    await mkdir(join(folder, `..v${version}`));
    await writeFile(join(folder, `..v${version}`, 'a.yaml'), pod('a', `busybox:${version}`));
  }
  await symlink('..v1', join(folder, '..data'));
  await symlink('..data/a.yaml', join(folder, 'a.yaml'));
  await using running = new Running({ recheckMs: 3_600_000 });
  await running.until(() => running.pods.join() === 'default/a');
  await symlink('..v2', join(folder, '..next'));
  await rename(join(folder, '..next'), join(folder, '..data'));
  await running.until(() => imagesOf(running.snapshots.at(-1)).join() === 'busybox:2');
  await rm(join(folder, '..data'));
  await running.until(() => running.pods.length === 0);
  expect(running.broken.join()).toContain('is a symbolic link to a file that is not there');
});

test('an object that two files give: the first counts, and the second file says so', async () => {
  const configMap = (value: string): string =>
    `---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: ${value}}\n`;
  await writeFile(join(folder, 'a.yaml'), `${pod('a')}${configMap('first')}`);
  await writeFile(join(folder, 'b.yaml'), `${pod('a', 'other:1')}${configMap('second')}`);
  await using running = new Running();
  await running.until(() => running.snapshots.length > 0);
  expect(running.snapshots[0]?.objects).toMatchObject([{ data: { a: 'first' } }]);
  const [first, second] = running.source.reports;
  expect(first).toMatchObject({ ok: true, objects: [{ key: 'default/a' }, { key: 'default/c' }] });
  expect(second).toMatchObject({ ok: false, objects: [] });
  expect(second?.problems.map(({ message }) => message.replaceAll(folder, ''))).toEqual([
    'Duplicate value: /a.yaml gives Pod default/a already; this one is ignored',
    'Duplicate value: /a.yaml gives ConfigMap default/c already; this one is ignored',
  ]);
});

test('objects of other kinds are handed on, or reported in a cluster', async () => {
  await writeFile(
    join(folder, 'a.yaml'),
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n---\n${pod('a')}`,
  );
  await using local = new Running();
  await local.until(() => local.snapshots.length > 0);
  expect(local.snapshots[0]?.objects).toEqual([
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'default' }, data: { a: 'b' } },
  ]);
  await using cluster = new Running({ otherKinds: false, nameSuffix: true });
  await cluster.until(() => cluster.snapshots.length > 0);
  expect(cluster.pods).toEqual(['default/a-node1']);
  expect(cluster.broken).toEqual([
    'a.yaml:2:1 kind: ConfigMap objects belong to the API server; a node of a cluster reads pods only',
  ]);
});

test('in a cluster, references to the API server are refused with their places', async () => {
  const env =
    '    envFrom: [{secretRef: {name: s}}]\n  serviceAccountName: me\n  imagePullSecrets: [{name: r}]\n' +
    '  volumes: [{name: v, flexVolume: {driver: a/b, secretRef: {name: f}}}]\n';
  await writeFile(join(folder, 'a.yaml'), pod('a', 'busybox:1', env));
  await using cluster = new Running({ apiReferences: false });
  await cluster.until(() => cluster.snapshots.length > 0);
  expect(cluster.pods).toEqual([]);
  expect(cluster.broken).toEqual([
    'a.yaml:10:3 spec.serviceAccountName: Forbidden: static pods may not reference service accounts',
    'a.yaml:11:22 spec.imagePullSecrets[0]: Forbidden: static pods may not reference secrets',
    'a.yaml:12:49 spec.volumes[0].flexVolume.secretRef: Forbidden: static pods may not reference secrets',
    'a.yaml:9:16 spec.containers[0].envFrom[0].secretRef: Forbidden: static pods may not reference secrets',
  ]);
});
