import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../../../base/clock.js';
import { runProgram, type RunProgram } from '../../../../base/run-program.js';
import { makeImageArchive } from '../../../../cri/embedded/images/index.js';
import { missingProgram, never, tempFolder, TempStore } from './temp-store.js';
import { FaultyProxy, TestRegistry, untilTrue } from '../../../support/test-registry.js';

const missing = await missingProgram('skopeo', 'docker-registry', 'tar');
const nothing = { layers: [], records: [], blobs: [], work: [] };
const smallBytes = 20_000;
const largeBytes = 400_000;

interface OciManifest {
  readonly layers: readonly { readonly digest: string }[];
}

describe.skipIf(missing !== undefined)(`a pull that fails (missing: ${missing ?? 'nothing'})`, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let registry: TestRegistry;
  let proxy: FaultyProxy;
  let small = '';

  beforeAll(async () => {
    folder = await tempFolder();
    registry = await TestRegistry.open();
    proxy = await FaultyProxy.open(registry.host);
    const layer = async (name: string, bytes: number): Promise<{ rootfs: string }> => {
      const rootfs = join(folder.path, name);
      await mkdir(rootfs);
      await writeFile(join(rootfs, name), randomBytes(bytes));
      return { rootfs };
    };
    const path = join(folder.path, 'image.tar');
    const layers = [await layer('small', smallBytes), await layer('large', largeBytes)];
    await makeImageArchive({ path, reference: 'localhost/two:1', layers }, { run: runProgram }, never);
    await registry.push(`oci-archive:${path}`, 'two:1');
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const answer = await fetch(`http://${registry.host}/v2/two/manifests/1`, { headers: { accept: type } });
    const manifest = (await answer.json()) as OciManifest;
    small = manifest.layers[0]?.digest ?? '';
    await registry.putManifest('two', 'wrong', type, JSON.stringify({ ...manifest, layers: [manifest.layers[0]] }));
  });

  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const open = (deps: { readonly run?: RunProgram; readonly clock?: Clock } = {}): Promise<TempStore> => {
    const registries = { [proxy.host]: { insecure: true } };
    // Long enough for a program to begin and to bring the small layer on a busy machine.
    return TempStore.open({ registries, stallTimeoutMs: 3000 }, deps);
  };
  const pull = (temp: TempStore, tag: string): Promise<unknown> =>
    temp.store.pullImage({ image: { image: `${proxy.host}/two:${tag}` } }, never);

  /** The registry goes silent in the middle of the large layer. */
  const breakOff = async (temp: TempStore): Promise<void> => {
    proxy.stallAfterBytes = (smallBytes + largeBytes) / 2;
    try {
      await expect(pull(temp, '1')).rejects.toMatchObject({ failure: { reason: 'timed-out' } });
    } finally {
      proxy.stallAfterBytes = undefined;
    }
    expect(await temp.content()).toEqual({ ...nothing, blobs: [small.slice('sha256:'.length)] });
  };

  test('because the registry broke off: what came is not fetched again', async () => {
    await using temp = await open();
    await breakOff(temp);
    proxy.requests.length = 0;
    await pull(temp, '1');
    expect(proxy.requests.join('\n')).toMatch(/\/blobs\//);
    expect(proxy.requests.join('\n')).not.toContain(small);
    expect((await temp.content()).layers).toHaveLength(2);
  });

  test('and is not tried again: what came goes by itself', async () => {
    let pass: (() => void) | undefined;
    const clock: Clock = {
      ...systemClock,
      sleep: async (ms, signal) => {
        if (ms < 10 * 60_000) return await systemClock.sleep(ms, signal);
        await new Promise<void>((resolve, reject) => {
          pass = resolve;
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        });
      },
    };
    await using temp = await open({ clock });
    await breakOff(temp);
    await untilTrue('its time is waited for', () => pass !== undefined);
    pass?.();
    await untilTrue('nothing is left', async () => isDeepStrictEqual(await temp.content(), nothing));
  });

  test('because the image is wrong: nothing of it stays', async () => {
    await using temp = await open();
    await expect(pull(temp, 'wrong')).rejects.toMatchObject({ failure: { reason: 'manifest-invalid' } });
    expect(await temp.content()).toEqual(nothing);
  });

  test('because the disk is full: nothing of it stays', async () => {
    const run: RunProgram = async (options, signal) => {
      const result = await runProgram(options, signal);
      if (!options.argv.includes('copy')) return result;
      const stderr = 'time="" level=fatal msg="writing blob: no space left on device"';
      return { ...result, stderr, end: { kind: 'exited', code: 1 } };
    };
    await using temp = await open({ run });
    await expect(pull(temp, '1')).rejects.toMatchObject({ failure: { reason: 'disk-full' } });
    expect(await temp.content()).toEqual(nothing);
  });
});
