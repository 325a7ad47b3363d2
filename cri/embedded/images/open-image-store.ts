import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfPresent, removeUnfinishedWrites, StateFile, writeFileAtomic } from '../../../base/atomic-file.js';
import { errnoOf, errorText } from '../../../base/errors.js';
import { describeEnd, programSucceeded } from '../../../base/run-program.js';
import { BlobFiles } from './blob-files.js';
import { EmbeddedImageStore } from './embedded-image-store.js';
import { imageError, isImageFailure } from './image-error.js';
import { ensureLayout, ImageIndex, parseImageRecords, type ImageRecord } from './image-index.js';
import type { ImageStore, ImageStoreDeps, ImageStoreOptions } from './image-store.js';
import { blobDigests, removeUnusedLayers } from './image-usage.js';
import { LayerStore } from './layers/layer-store.js';
import { rebuildRecords } from './rebuild-index.js';
import { Skopeo } from './transfer/skopeo.js';

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const acceptEverything = '{"default":[{"type":"insecureAcceptAnything"}]}\n';
const flushTimeoutMs = 10 * 60_000;

/**
 * Opens the images in a folder, making it when it is not there. What a pull or unpack left unfinished is removed; a lost or
 * corrupt list is made anew from the OCI layout. One process at a time may have a folder open.
 *
 *   oci/           the OCI layout: blobs and an index other tools can read
 *   l/N            unpacked layers
 *   layers/        one record for each finished layer
 *   images.json    names, ages, pins
 *   tmp/           work under way
 */
export async function openImageStore(
  options: ImageStoreOptions,
  deps: ImageStoreDeps,
  signal: AbortSignal,
): Promise<ImageStore> {
  signal.throwIfAborted();
  const { dir, tarPath = 'tar', zstdPath = 'zstd', skopeoPath = 'skopeo' } = options;
  const workDir = join(dir, 'tmp');
  const layout = join(dir, 'oci');
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(workDir)) await rm(join(workDir, name), { recursive: true, force: true });
  await ensureLayout(layout);
  for (const folder of [dir, layout]) await removeUnfinishedWrites(folder);
  const env = { PATH: path, LC_ALL: 'C.UTF-8', HOME: '/nonexistent', ...options.env };
  const layers = await LayerStore.open({ dir, tarPath, zstdPath, flush: flusher(options, deps, env) }, deps.log);
  const blobs = new BlobFiles(layout);
  const file = new StateFile<ImageRecord[]>(join(dir, 'images.json'), 1, parseImageRecords);
  const index = new ImageIndex(layout, file);
  const adoptDeps = { blobs, layers, index, clock: deps.clock };
  await loadIndex(index, file, layout, adoptDeps, deps, signal);
  await blobs.removeUnless(blobDigests(index.kept()));
  // Of a pull that was killed between its layers and its record. Without knowing what is mounted a container could lose its root.
  if (deps.layersInUse !== undefined) await removeUnusedLayers(index, layers, deps.layersInUse());
  const policyFile = options.policyFile ?? join(dir, 'policy.json');
  // Only when it differs: a full disk must not keep the images from being used.
  if (options.policyFile === undefined && (await readIfPresent(policyFile)) !== acceptEverything) {
    await writeFileAtomic(policyFile, acceptEverything, { mode: 0o644 });
  }
  const skopeo = new Skopeo(
    { path: skopeoPath, policyFile, registries: options.registries ?? {}, platform: options.platform, env },
    deps,
  );
  return new EmbeddedImageStore(
    {
      authFile: options.authFile,
      secretsDir: options.secretsDir,
      resolveTimeoutMs: options.resolveTimeoutMs ?? 60_000,
      stallTimeoutMs: options.stallTimeoutMs ?? 5 * 60_000,
      progressEveryMs: options.progressEveryMs ?? 500,
      mountpoint: join(dir, 'l'),
      runtimeHandlers: options.runtimeHandlers,
    },
    { ...adoptDeps, skopeo, workDir, tarPath, env, run: deps.run, log: deps.log, layersInUse: deps.layersInUse },
  );
}

type AdoptDepsOfOpen = Parameters<typeof rebuildRecords>[1];

async function loadIndex(
  index: ImageIndex,
  file: StateFile<ImageRecord[]>,
  layout: string,
  adoptDeps: AdoptDepsOfOpen,
  deps: ImageStoreDeps,
  signal: AbortSignal,
): Promise<void> {
  const read = await file.read();
  if (read.kind === 'set-aside') {
    deps.log.warn(
      { reason: read.reason, movedTo: read.movedTo },
      'image list was corrupt; rebuilding it from the layout',
    );
  }
  const records = read.kind === 'read' ? read.data : await rebuildRecords(layout, adoptDeps, deps.log);
  const sorted: Record<LayerState, ImageRecord[]> = { whole: [], unusable: [], damaged: [] };
  for (const record of records) sorted[await unpackMissing(record, adoptDeps, deps, signal)].push(record);
  await index.load(sorted.whole, sorted.unusable, read.kind !== 'read' || sorted.damaged.length > 0);
}

type LayerState = 'whole' | 'unusable' | 'damaged';

/** Unpacks layers again whose folders are gone. A damaged image is dropped, to be pulled again when it is needed. */
async function unpackMissing(
  record: ImageRecord,
  adoptDeps: AdoptDepsOfOpen,
  deps: ImageStoreDeps,
  signal: AbortSignal,
): Promise<LayerState> {
  const { layers, blobs } = adoptDeps;
  try {
    for (const [at, chainId] of record.chainIds.entries()) {
      if (layers.get(chainId) !== undefined) continue;
      const below = record.chainIds.slice(0, at).flatMap((lower) => layers.get(lower) ?? []);
      const blob = blobs.path(record.layerBlobs[at]?.digest ?? '');
      await layers.ensure(chainId, record.diffIds[at] as string, below, blob, signal);
    }
    return 'whole';
  } catch (err) {
    signal.throwIfAborted();
    const image = record.tags[0] ?? record.id;
    const isDamaged = isImageFailure(err, 'layer-invalid') || errnoOf(errorCause(err)) === 'ENOENT';
    deps.log.warn(
      { image, reason: errorText(err) },
      isDamaged ? 'image dropped: a layer is lost' : 'image set aside until the next start',
    );
    return isDamaged ? 'damaged' : 'unusable';
  }
}

function flusher(
  options: ImageStoreOptions,
  deps: ImageStoreDeps,
  env: Readonly<Record<string, string>>,
): (target: string, signal: AbortSignal) => Promise<void> {
  if (options.flush === false) return async () => {};
  return async (target, signal) => {
    const argv = ['sync', '--file-system', target] as const;
    const result = await deps.run({ argv, env, timeoutMs: flushTimeoutMs }, signal);
    if (!programSucceeded(result)) throw imageError('failed', `flush layer to the disk: ${describeEnd(result)}`);
  };
}

function errorCause(err: unknown): unknown {
  return err instanceof Error ? (err.cause ?? err) : err;
}
