import { createHash } from 'node:crypto';
import type { ImageConfig } from './image-store.js';
import { imageError } from './image-error.js';
import { isDigest } from './reference.js';

/** A blob named by another document (image-spec descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

export interface ImageManifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface ParsedConfig {
  readonly config: ImageConfig;
  readonly diffIds: readonly string[];
  /** Milliseconds since the epoch; undefined when the image does not say. */
  readonly created: number | undefined;
}

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const;

export const refNameAnnotation = 'org.opencontainers.image.ref.name';

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

type Json = Readonly<Record<string, unknown>>;

/** The words are ours: a parser's own message would quote the content. */
export function parseJsonObject(bytes: Uint8Array | string, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8'));
  } catch {
    throw imageError('manifest-invalid', `read ${what}: not JSON`);
  }
  return object(value, what);
}

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw imageError('manifest-invalid', `read ${what}: not an object`);
  }
  return value as Json;
}

function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw imageError('manifest-invalid', `read ${what}: not a list`);
  return value;
}

function text(value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw imageError('manifest-invalid', `read ${what}: not a string`);
  return value;
}

function texts(value: unknown, what: string): string[] {
  return list(value, what).map((item, at) => text(item, `${what}[${at}]`));
}

function textMap(value: unknown, what: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  return Object.fromEntries(
    Object.entries(object(value, what)).map(([key, item]) => [key, text(item, `${what}.${key}`)]),
  );
}

function descriptor(value: unknown, what: string): Descriptor {
  const from = object(value, what);
  const digest = text(from['digest'], `${what}.digest`);
  const size = from['size'];
  // The digest becomes a file name: nothing but the two known forms may pass.
  if (!isDigest(digest)) throw imageError('manifest-invalid', `read ${what}: ${JSON.stringify(digest)} is no digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw imageError('manifest-invalid', `read ${what}: no size`);
  }
  const annotations = from['annotations'];
  return {
    mediaType: text(from['mediaType'], `${what}.mediaType`),
    digest,
    size,
    ...(annotations === undefined ? {} : { annotations: textMap(annotations, `${what}.annotations`) }),
  };
}

export function parseManifest(bytes: Uint8Array, what: string): ImageManifest {
  const from = parseJsonObject(bytes, what);
  if (from['schemaVersion'] !== 2) {
    throw imageError(
      'manifest-invalid',
      `read ${what}: schema version ${String(from['schemaVersion'])} is not supported`,
    );
  }
  return {
    config: descriptor(from['config'], `${what} config`),
    layers: list(from['layers'], `${what} layers`).map((item, at) => descriptor(item, `${what} layers[${at}]`)),
  };
}

/** The manifests an index names. */
export function parseIndex(bytes: Uint8Array | string, what: string): readonly Descriptor[] {
  const from = parseJsonObject(bytes, what);
  return list(from['manifests'], `${what} manifests`).map((item, at) => descriptor(item, `${what} manifests[${at}]`));
}

export function parseConfig(bytes: Uint8Array, what: string): ParsedConfig {
  const from = parseJsonObject(bytes, what);
  const rootfs = object(from['rootfs'], `${what} rootfs`);
  const config =
    from['config'] === undefined || from['config'] === null ? {} : object(from['config'], `${what} config`);
  const created = Date.parse(text(from['created'], `${what} created`));
  const volumes = config['Volumes'];
  const diffIds = texts(rootfs['diff_ids'], `${what} rootfs.diff_ids`);
  for (const id of diffIds) {
    if (!isDigest(id)) throw imageError('manifest-invalid', `read ${what}: ${JSON.stringify(id)} is no layer digest`);
  }
  return {
    diffIds,
    created: Number.isNaN(created) ? undefined : created,
    config: {
      user: text(config['User'], `${what} User`),
      env: texts(config['Env'], `${what} Env`),
      entrypoint: texts(config['Entrypoint'], `${what} Entrypoint`),
      cmd: texts(config['Cmd'], `${what} Cmd`),
      workingDir: text(config['WorkingDir'], `${what} WorkingDir`),
      volumes: volumes === undefined || volumes === null ? [] : Object.keys(object(volumes, `${what} Volumes`)),
      labels: textMap(config['Labels'], `${what} Labels`),
      stopSignal: text(config['StopSignal'], `${what} StopSignal`),
    },
  };
}

/** The identity of a stack of layers (image-spec config.md, "Layer ChainID"), bottom first, one for each layer. */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : sha256(`${below} ${diffId}`));
  }
  return chain;
}
