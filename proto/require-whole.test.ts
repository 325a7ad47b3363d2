import fs from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { loadGrpc } from './load.js';
import { requireWhole } from '../base/require-whole.js';
import { WireServices } from './wire/index.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-require-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

/** As when every file descriptor is in use: the file cannot be opened, until the returned function is called. */
function unreadable(suffix: string): () => void {
  const { readFileSync } = fs;
  const spy = vi.spyOn(fs, 'readFileSync').mockImplementation(((
    path: fs.PathOrFileDescriptor,
    options?: BufferEncoding,
  ) => {
    if (String(path).endsWith(suffix))
      throw Object.assign(new Error(`EMFILE: too many open files, open '${String(path)}'`), { code: 'EMFILE' });
    return readFileSync(path, options);
  }) as typeof fs.readFileSync);
  return () => {
    spy.mockRestore();
  };
}

const require = createRequire(import.meta.url);

test('a package that could not be read half way is loaded anew as a whole', async () => {
  // Two files that need each other: the second keeps the exports of the first, which will not be finished.
  await writeFile(
    join(folder, 'first.cjs'),
    `exports.second = require('./second.cjs'); require('./third.cjs'); exports.greet = () => 'hello';`,
  );
  await writeFile(
    join(folder, 'second.cjs'),
    `const first = require('./first.cjs'); exports.greet = () => first.greet();`,
  );
  await writeFile(join(folder, 'third.cjs'), '');
  const first = join(folder, 'first.cjs');
  const before = new Set(Object.keys(require.cache));
  const readable = unreadable('/third.cjs');
  expect(() => requireWhole(require, first)).toThrow('EMFILE');
  expect(Object.keys(require.cache).filter((file) => !before.has(file))).toEqual([]);
  readable();
  const loaded = requireWhole(require, first) as { second: { greet(): string } };
  expect(loaded.second.greet()).toBe('hello');
  expect(requireWhole(require, first)).toBe(loaded);
});

test('what was there before stays', async () => {
  await writeFile(join(folder, 'old.cjs'), 'exports.made = {};');
  await writeFile(join(folder, 'new.cjs'), `require('./old.cjs'); throw new Error('no');`);
  const old: unknown = require(join(folder, 'old.cjs'));
  expect(() => requireWhole(require, join(folder, 'new.cjs'))).toThrow('no');
  expect(require(join(folder, 'old.cjs'))).toBe(old);
});

test.each(['/grpc-js/build/src/http_proxy.js', '/proto-loader/build/src/util.js', '/protobufjs/src/root.js'])(
  'gRPC itself: no descriptor is left for %s, and the next call finds it whole',
  async (file) => {
    for (const path of Object.keys(require.cache)) {
      if (/node_modules\/(@grpc|protobufjs|@protobufjs)\//.test(path)) delete require.cache[path];
    }
    const services = new WireServices();
    const readable = unreadable(file);
    const load = async (): Promise<unknown> => {
      const Service = await services.load('csi-v1', 'csi.v1.Identity');
      const client = new Service('unix:/nowhere', loadGrpc().credentials.createInsecure());
      client.close();
      return Service;
    };
    await expect(load()).rejects.toThrow('EMFILE');
    await expect(load()).rejects.toThrow('EMFILE');
    readable();
    await expect(load()).resolves.toBe(await load());
  },
);
