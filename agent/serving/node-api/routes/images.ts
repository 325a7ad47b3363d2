import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { errorText } from '../../../../base/errors.js';
import type { ArchiveFormat, ImageStore } from '../../../../cri/embedded/images/index.js';
import type { Agent } from '../../../agent.js';
import { allContainers, podKey } from '../../../api/index.js';
import type { ImageVerdict } from '../../../garbage/index.js';
import { ApiError } from '../api-error.js';
import type { ImageList, ImageProgress, ImageRow } from '../contract.js';
import { flag, readBody, required, value, type Answer, type ApiRequest, type CallRoute } from '../route.js';

export function imageRoutes(agent: Agent): CallRoute[] {
  return [
    { method: 'GET', path: '/v1/images', handle: async (_request, signal) => value(await listImages(agent, signal)) },
    {
      method: 'DELETE',
      path: '/v1/images',
      handle: async ({ query }, signal) => {
        await removeImage(agent, required(query, 'reference'), flag(query, 'force'), signal);
        return value({});
      },
    },
    { method: 'POST', path: '/v1/images/pull', handle: (request) => pull(agent, request) },
    { method: 'POST', path: '/v1/images/import', handle: (request) => importArchive(agent, request) },
    { method: 'GET', path: '/v1/images/export', handle: (request, signal) => exportArchive(agent, request, signal) },
    {
      method: 'POST',
      path: '/v1/images/tag',
      handle: async ({ query }, signal) => {
        await requireStore(agent).tag(required(query, 'reference'), required(query, 'name'), signal);
        return value({});
      },
    },
    {
      method: 'POST',
      path: '/v1/images/pin',
      handle: async ({ query }, signal) => {
        await requireStore(agent).pin(required(query, 'reference'), query.get('pinned') !== 'false', signal);
        return value({});
      },
    },
  ];
}

function requireStore(agent: Agent): ImageStore {
  if (agent.imageStore) return agent.imageStore;
  throw new ApiError(
    'NotImplemented',
    `images: the runtime ${agent.config.runtime.endpoint} keeps them itself; use its own tools`,
  );
}

async function listImages(agent: Agent, signal: AbortSignal): Promise<ImageList> {
  const users = imageUsers(agent);
  const reasons = await reasonsToStay(agent, signal);
  const heldBy = (id: string, pinned: boolean): readonly string[] => holders(pinned, users.get(id), reasons.get(id));
  const { imageStore } = agent;
  if (imageStore) {
    const { images, totalBytes } = imageStore.usage();
    const items = images.map((image): ImageRow => {
      const { id, repoTags, repoDigests, sizeBytes, uniqueBytes, pinned, createdAt, lastUsed } = image;
      return {
        id,
        repoTags,
        repoDigests,
        sizeBytes,
        uniqueBytes,
        pinned,
        createdAt,
        lastUsed,
        heldBy: heldBy(id, pinned),
      };
    });
    return { items: items.toSorted(byName), totalBytes };
  }
  const { images = [] } = await agent.runtime.images.listImages({}, signal);
  const items = images.map(({ id = '', repoTags = [], repoDigests = [], size = 0, pinned = false }): ImageRow => {
    return { id, repoTags, repoDigests, sizeBytes: size, pinned, heldBy: heldBy(id, pinned) };
  });
  return { items: items.toSorted(byName) };
}

const byName = (a: ImageRow, b: ImageRow): number => (a.repoTags[0] ?? a.id).localeCompare(b.repoTags[0] ?? b.id);

/** Pods by the id of the images their containers were made from. */
function imageUsers(agent: Agent): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>();
  for (const { pod, uid, observed } of agent.pods()) {
    for (const { image, imageRef } of observed?.containers ?? []) {
      const found = agent.imageStore?.find(imageRef) ?? agent.imageStore?.find(image);
      const id = found?.id ?? imageRef;
      users.set(id, (users.get(id) ?? new Set()).add(pod ? podKey(pod) : uid));
    }
  }
  return users;
}

/** What keeps each image from garbage collection; one that the next collection takes is left out. */
async function reasonsToStay(agent: Agent, signal: AbortSignal): Promise<ReadonlyMap<string, ImageVerdict>> {
  try {
    const verdicts = await agent.explainImages(signal);
    return new Map(verdicts.filter(({ stays }) => stays !== undefined).map((verdict) => [verdict.image.id, verdict]));
  } catch {
    // A runtime that is away keeps nobody from seeing the images.
    signal.throwIfAborted();
    return new Map();
  }
}

/** Pin and pods first; where there are neither, what garbage collection says. */
export function holders(
  pinned: boolean,
  pods: ReadonlySet<string> = new Set(),
  verdict?: Pick<ImageVerdict, 'text'>,
): readonly string[] {
  const held = [...(pinned ? ['pinned'] : []), ...[...pods].toSorted().map((pod) => `used by ${pod}`)];
  return held.length > 0 || !verdict ? held : [verdict.text];
}

/**
 * One name of several goes alone, as with docker and podman; the last one, or an id, takes the image with it. What a pod uses is only
 * taken away when it is asked for twice.
 */
async function removeImage(agent: Agent, reference: string, force: boolean, signal: AbortSignal): Promise<void> {
  const { image } = await agent.runtime.images.imageStatus({ image: { image: reference } }, signal);
  if (!image?.id) throw new ApiError('NotFound', `remove image ${reference}: there is no such image`);
  const isOneName = isNameBesideOthers(reference, image.repoTags ?? []);
  const pods = isOneName ? podsThatName(agent, reference) : [...(imageUsers(agent).get(image.id) ?? [])];
  if (pods.length > 0 && !force) {
    throw new ApiError(
      'Conflict',
      `remove image ${reference}: it is used by ${pods.join(', ')}; remove it all the same with --force`,
    );
  }
  if (isOneName && agent.imageStore) return await agent.imageStore.untag(reference, signal);
  await agent.runtime.images.removeImage({ image: { image: reference } }, signal);
}

export function isNameBesideOthers(reference: string, tags: readonly string[]): boolean {
  return tags.length > 1 && tags.some((tag) => shortName(tag) === shortName(reference));
}

const shortName = (reference: string): string =>
  reference.replace(/^docker\.io\/(library\/)?/, '').replace(/:latest$/, '');

/** A pod that is started again looks for the name it was given. */
function podsThatName(agent: Agent, reference: string): string[] {
  return agent.pods().flatMap(({ pod }) => {
    const names = pod ? allContainers(pod).map(({ container }) => container.image) : [];
    return pod && names.some((name) => shortName(name ?? '') === shortName(reference)) ? [podKey(pod)] : [];
  });
}

interface PullBody {
  readonly reference?: string;
  readonly username?: string;
  readonly password?: string;
}

async function pull(agent: Agent, { raw }: ApiRequest): Promise<Answer> {
  const { reference = '', username, password } = readJson(await readBody(raw, 64 * 1024)) as PullBody;
  if (reference === '') throw new ApiError('BadRequest', 'pull: the reference is missing');
  const auth = username === undefined ? {} : { auth: { username, password: password ?? '' } };
  return progressStream(async (say, signal) => {
    await agent.runtime.images.pullImage(
      { image: { image: reference, userSpecifiedImage: reference }, ...auth },
      signal,
      ({ text }) => say(text),
    );
    return await imageRows(agent, [reference], signal);
  });
}

function readJson(body: Buffer): unknown {
  try {
    const parsed = JSON.parse(body.toString('utf8')) as unknown;
    if (typeof parsed === 'object' && parsed !== null) return parsed;
  } catch {
    // Said below.
  }
  throw new ApiError('BadRequest', 'read the request: it is not a JSON object');
}

/** Failures come as the last line: the answer has begun by then. */
function progressStream(
  work: (say: (text: string) => void, signal: AbortSignal) => Promise<readonly ImageRow[]>,
): Answer {
  return {
    kind: 'stream',
    contentType: 'application/x-ndjson',
    write: async (out, signal) => {
      const line = (content: ImageProgress): void => void (out.writable && out.write(`${JSON.stringify(content)}\n`));
      try {
        line({ type: 'done', images: await work((text) => line({ type: 'progress', text }), signal) });
      } catch (err) {
        signal.throwIfAborted();
        line({ type: 'error', reason: 'Failed', message: errorText(err) });
      }
    },
  };
}

async function imageRows(agent: Agent, references: readonly string[], signal: AbortSignal): Promise<ImageRow[]> {
  const { items } = await listImages(agent, signal);
  const ids = await Promise.all(
    references.map(async (image) => (await agent.runtime.images.imageStatus({ image: { image } }, signal)).image?.id),
  );
  return items.filter(({ id }) => ids.includes(id));
}

async function importArchive(agent: Agent, { raw, query }: ApiRequest): Promise<Answer> {
  const store = requireStore(agent);
  return await withTemporaryFolder(agent, async (folder, keep) => {
    const path = join(folder, 'archive.tar');
    await pipeline(raw, createWriteStream(path, { mode: 0o600 }));
    const reference = query.get('reference') ?? undefined;
    keep();
    return progressStream(async (_say, signal) => {
      try {
        const imported = await store.importArchive(path, { reference, pinned: flag(query, 'pinned') }, signal);
        return await imageRows(
          agent,
          imported.map(({ id }) => id),
          signal,
        );
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  });
}

async function exportArchive(agent: Agent, { query }: ApiRequest, signal: AbortSignal): Promise<Answer> {
  const store = requireStore(agent);
  const reference = required(query, 'reference');
  const format = archiveFormat(query.get('format') ?? 'oci-archive');
  return await withTemporaryFolder(agent, async (folder, keep) => {
    const path = join(folder, 'archive.tar');
    await store.exportArchive(reference, path, format, signal);
    keep();
    return {
      kind: 'stream',
      contentType: 'application/octet-stream',
      write: async (out, asked) => {
        try {
          await pipeline(createReadStream(path), out, { end: false, signal: asked });
        } finally {
          await rm(folder, { recursive: true, force: true });
        }
      },
    };
  });
}

function archiveFormat(text: string): ArchiveFormat {
  if (text === 'oci-archive' || text === 'docker-archive') return text;
  throw new ApiError('BadRequest', `read format: ${JSON.stringify(text)} is neither oci-archive nor docker-archive`);
}

/** The folder goes when `work` fails; `keep` hands it to the answer that removes it. */
async function withTemporaryFolder(
  agent: Agent,
  work: (folder: string, keep: () => void) => Promise<Answer>,
): Promise<Answer> {
  const parent = join(agent.config.paths.stateDir, 'transfers');
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(parent, 'archive-'));
  let kept = false;
  try {
    return await work(folder, () => (kept = true));
  } finally {
    if (!kept) await rm(folder, { recursive: true, force: true });
  }
}
