import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, link, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { describeEnd, programSucceeded, type RunProgram } from '../../../base/run-program.js';
import { imageError } from './image-error.js';
import type { ImageConfig } from './image-store.js';
import { mediaTypes, refNameAnnotation, sha256, type Descriptor } from './oci-documents.js';

export type ImageLayerSource =
  /** Packed as it is on disk, owned by root unless `keepOwners`. */
  | { readonly rootfs: string; readonly keepOwners?: boolean }
  /** A tar file that is there already, taken as it is. */
  | { readonly tar: string };

export interface MakeImageOptions {
  /** The archive to write; replaced when it exists. */
  readonly path: string;
  /** The name inside the archive. */
  readonly reference?: string | undefined;
  readonly layers: readonly ImageLayerSource[];
  readonly config?: Partial<ImageConfig> | undefined;
  readonly format?: 'oci-archive' | 'docker-archive' | 'oci-layout' | undefined;
  readonly compress?: 'none' | 'gzip' | undefined;
  readonly architecture?: string | undefined;
}

export interface MadeImage {
  /** Digest of the config, which an import of an OCI archive keeps as the image id. */
  readonly id: string;
  readonly manifestDigest: string;
}

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' };
const tarTimeoutMs = 10 * 60_000;
/** Fixed, so that the same files make the same image. */
const created = '1970-01-01T00:00:00Z';

interface MadeLayer {
  readonly file: string;
  readonly diffId: string;
  readonly descriptor: Descriptor;
}

/** Makes an image archive from folders or tar files; the same input makes the same digests. */
export async function makeImageArchive(
  options: MakeImageOptions,
  deps: { readonly run: RunProgram },
  signal: AbortSignal,
): Promise<MadeImage> {
  const work = await mkdtemp(join(dirname(options.path), '.make-image-'));
  try {
    const layers: MadeLayer[] = [];
    for (const [at, source] of options.layers.entries()) {
      layers.push(await makeLayer(source, join(work, `layer-${at}`), options.compress ?? 'none', deps, signal));
    }
    const config = Buffer.from(JSON.stringify(configDocument(options, layers)));
    const manifest = Buffer.from(JSON.stringify(manifestDocument(config, layers)));
    const tree = join(work, 'tree');
    await mkdir(tree);
    if (options.format === 'docker-archive') await writeDockerTree(tree, options, config, layers);
    else await writeLayout(tree, options, config, manifest, layers);
    if (options.format === 'oci-layout') await rename(tree, options.path);
    else {
      const packed = join(work, 'archive.tar');
      await pack(tree, packed, false, deps, signal);
      await rename(packed, options.path);
    }
    return { id: sha256(config), manifestDigest: sha256(manifest) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function makeLayer(
  source: ImageLayerSource,
  file: string,
  compress: 'none' | 'gzip',
  deps: { readonly run: RunProgram },
  signal: AbortSignal,
): Promise<MadeLayer> {
  if ('tar' in source) await copyFile(source.tar, file);
  else await pack(source.rootfs, file, source.keepOwners ?? false, deps, signal);
  const diffId = await fileDigest(file);
  if (compress === 'none') {
    return { file, diffId, descriptor: { mediaType: mediaTypes.layer, digest: diffId, size: (await stat(file)).size } };
  }
  const zipped = `${file}.gz`;
  await pipeline(createReadStream(file), createGzip(), createWriteStream(zipped), { signal });
  const digest = await fileDigest(zipped);
  const descriptor = { mediaType: `${mediaTypes.layer}+gzip`, digest, size: (await stat(zipped)).size };
  return { file: zipped, diffId, descriptor };
}

async function pack(
  folder: string,
  file: string,
  keepOwners: boolean,
  deps: { readonly run: RunProgram },
  signal: AbortSignal,
): Promise<void> {
  const argv = [
    'tar',
    '--create',
    `--file=${file}`,
    '--force-local',
    '--format=posix',
    '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
    '--sort=name',
    '--mtime=@0',
    '--numeric-owner',
    ...(keepOwners ? [] : ['--owner=0', '--group=0']),
    '--xattrs',
    '--xattrs-include=*',
    `--directory=${folder}`,
    '.',
  ] as const;
  const result = await deps.run({ argv: [...argv], env, timeoutMs: tarTimeoutMs }, signal);
  if (!programSucceeded(result)) throw imageError('failed', `pack ${folder}: tar ${describeEnd(result)}`);
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

function configDocument(options: MakeImageOptions, layers: readonly MadeLayer[]): object {
  const { config = {} } = options;
  return {
    created,
    architecture: options.architecture ?? (process.arch === 'x64' ? 'amd64' : process.arch),
    os: 'linux',
    config: {
      ...(config.user ? { User: config.user } : {}),
      ...(config.env ? { Env: config.env } : {}),
      ...(config.entrypoint ? { Entrypoint: config.entrypoint } : {}),
      ...(config.cmd ? { Cmd: config.cmd } : {}),
      ...(config.workingDir ? { WorkingDir: config.workingDir } : {}),
      ...(config.volumes ? { Volumes: Object.fromEntries(config.volumes.map((volume) => [volume, {}])) } : {}),
      ...(config.labels ? { Labels: config.labels } : {}),
      ...(config.stopSignal ? { StopSignal: config.stopSignal } : {}),
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map(() => ({ created, created_by: 'berth' })),
  };
}

function manifestDocument(config: Buffer, layers: readonly MadeLayer[]): object {
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.config, digest: sha256(config), size: config.length },
    layers: layers.map((layer) => layer.descriptor),
  };
}

async function writeLayout(
  tree: string,
  options: MakeImageOptions,
  config: Buffer,
  manifest: Buffer,
  layers: readonly MadeLayer[],
): Promise<void> {
  const blobs = join(tree, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const hex = (digest: string): string => digest.slice('sha256:'.length);
  for (const { file, descriptor } of layers) await linkOrKeep(file, join(blobs, hex(descriptor.digest)));
  await writeFile(join(blobs, hex(sha256(config))), config);
  await writeFile(join(blobs, hex(sha256(manifest))), manifest);
  const annotations =
    options.reference === undefined ? {} : { annotations: { [refNameAnnotation]: options.reference } };
  const descriptor = {
    mediaType: mediaTypes.manifest,
    digest: sha256(manifest),
    size: manifest.length,
    ...annotations,
  };
  await writeFile(join(tree, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}\n');
  const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [descriptor] };
  await writeFile(join(tree, 'index.json'), JSON.stringify(index));
}

async function writeDockerTree(
  tree: string,
  options: MakeImageOptions,
  config: Buffer,
  layers: readonly MadeLayer[],
): Promise<void> {
  const names: string[] = [];
  for (const { file, descriptor } of layers) {
    const name = `${descriptor.digest.slice('sha256:'.length)}.tar`;
    await linkOrKeep(file, join(tree, name));
    names.push(name);
  }
  const configName = `${sha256(config).slice('sha256:'.length)}.json`;
  await writeFile(join(tree, configName), config);
  const tags = options.reference === undefined ? null : [options.reference];
  await writeFile(join(tree, 'manifest.json'), JSON.stringify([{ Config: configName, RepoTags: tags, Layers: names }]));
}

/** Two layers may be the same. */
async function linkOrKeep(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  await link(from, to);
}
