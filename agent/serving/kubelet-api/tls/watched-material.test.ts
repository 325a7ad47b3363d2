import { watch, type FSWatcher } from 'node:fs';
import { mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '../../../../base/clock.js';
import { silentLogger } from '../../../../base/log.js';
import { selfSigned } from './self-signed.js';
import { WatchedMaterial } from './watched-material.js';
import type { TlsMaterial } from './read-material.js';

const closing = (watcher: FSWatcher): Disposable => ({ [Symbol.dispose]: () => watcher.close() });
const pair = async (certDir: string): Promise<{ cert: string; key: string }> =>
  await selfSigned({ certDir, nodeName: 'here', addresses: [], now: Date.now() });

test('certificates follow their files, and are left alone while something else changes in their folder', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'berth-material-'));
  try {
    const [first, second] = await Promise.all([pair(join(dir, 'first')), pair(join(dir, 'second'))]);
    const [certFile, keyFile, clientCaFile] = ['crt', 'key', 'ca'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    for (const [path, text] of [
      [certFile, first.cert],
      [keyFile, first.key],
      [clientCaFile, first.cert],
    ] as const)
      await writeFile(path, text);
    const seen: TlsMaterial[] = [];
    const tls = { certFile, keyFile, certDir: dir, fromCluster: false } as ConstructorParameters<
      typeof WatchedMaterial
    >[0]['tls'];
    await using material = new WatchedMaterial(
      { tls, clientCaFile, nodeName: 'here', addresses: () => [] },
      { clock: systemClock, log: silentLogger },
      (each) => void seen.push(each),
    );
    const read = vi.spyOn(material, 'read');
    await material.start();
    expect(seen).toEqual([{ cert: first.cert, key: first.key, clientCa: first.cert }]);
    expect(read).toHaveBeenCalledTimes(1);

    const before = (await stat(clientCaFile)).ino;
    await writeFile(join(dir, 'ca.new'), second.cert);
    await rename(join(dir, 'ca.new'), clientCaFile);
    expect((await stat(clientCaFile)).ino).not.toBe(before);
    await expect.poll(() => seen.at(-1)?.clientCa, { timeout: 60_000 }).toBe(second.cert);
    expect(seen).toHaveLength(2);

    read.mockClear();
    const told: (string | null)[] = [];
    using _told = closing(watch(dir, (_event, name) => void told.push(name)));
    await writeFile(join(dir, 'beside'), 'again');
    await expect.poll(() => told.includes('beside'), { timeout: 60_000 }).toBe(true);
    expect(read).not.toHaveBeenCalled();
    await writeFile(join(dir, 'ca.new'), first.cert);
    await rename(join(dir, 'ca.new'), clientCaFile);
    await expect.poll(() => seen.at(-1)?.clientCa, { timeout: 60_000 }).toBe(first.cert);
    expect(seen).toHaveLength(3);
  } finally {
    await rm(dir, { recursive: true });
  }
});
