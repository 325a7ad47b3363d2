import type { Readable } from 'node:stream';
import { jsonLines } from './json-lines.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { CriError, criError, isCriCode } from '../contract/cri-error.js';
import type { ImageService, PullProgress } from '../contract/image-service.js';
import { referenceText, tryParseReference } from '../contract/image-reference.js';
import type { Clock } from '../../base/clock.js';
import { checkHandler } from './check-handler.js';
import type { DockerApi } from './docker-api.js';
import type { DockerInfo, InspectedImage } from './docker-types.js';

const imageId = /^(sha256:)?[0-9a-f]{1,64}$/;

export async function findImage(
  api: DockerApi,
  reference: string | undefined,
  signal: AbortSignal,
): Promise<InspectedImage | undefined> {
  if (!reference) throw criError('invalid-argument', 'find image: the reference is empty');
  // It becomes a part of a path: anything else than a name would ask Docker for something else.
  if (tryParseReference(reference) === undefined && !imageId.test(reference)) return undefined;
  try {
    const path = `/images/${encodeURI(reference)}/json`;
    return await api.call<InspectedImage>({ method: 'GET', path, verb: `find image ${reference}` }, signal);
  } catch (err) {
    if (isCriCode(err, 'not-found') || isCriCode(err, 'invalid-argument')) return undefined;
    throw err;
  }
}

export function dockerImageService(api: DockerApi, clock: Clock, pinned: string): ImageService {
  return {
    async listImages({ filter }, signal) {
      const wanted = filter?.image?.image;
      if (wanted) {
        const found = await findImage(api, wanted, signal);
        return { images: found === undefined ? [] : [toCriImage(found, pinned)] };
      }
      const listed = await api.call<InspectedImage[]>(
        { method: 'GET', path: '/images/json', verb: 'list images' },
        signal,
      );
      return { images: listed.map((image) => toCriImage(image, pinned)) };
    },
    async imageStatus({ image, verbose }, signal) {
      const found = await findImage(api, image?.image, signal);
      if (found === undefined) return {};
      return { image: toCriImage(found, pinned), info: verbose === true ? { inspect: JSON.stringify(found) } : {} };
    },
    async pullImage(request, signal, onProgress) {
      const reference = request.image?.image ?? '';
      await checkHandler(api, request.image?.runtimeHandler, `pull image ${reference}`, signal);
      await pull(api, reference, request.auth, signal, onProgress);
      const found = await findImage(api, reference, signal);
      if (found === undefined)
        throw criError('internal', `pull image ${reference}: Docker does not have it afterwards`);
      return { imageRef: found.Id };
    },
    async removeImage({ image }, signal) {
      const found = await findImage(api, image?.image, signal);
      if (found === undefined) return {};
      const names = [...(found.RepoTags ?? []), ...(found.RepoDigests ?? []), found.Id];
      for (const name of names) await removeName(api, name, signal);
      return {};
    },
    async imageFsInfo(_request, signal) {
      const { DockerRootDir } = await api.call<DockerInfo>(
        { method: 'GET', path: '/info', verb: 'ask Docker where it is' },
        signal,
      );
      const { LayersSize = 0 } = await api.call<{ LayersSize?: number }>(
        { method: 'GET', path: '/system/df', verb: 'ask Docker for its usage' },
        signal,
      );
      const usage = {
        timestamp: clock.now() * 1e6,
        fsId: { mountpoint: DockerRootDir },
        usedBytes: { value: LayersSize },
      };
      return { imageFilesystems: [usage], containerFilesystems: [usage] };
    },
  };
}

function toCriImage(image: InspectedImage, pinned: string): v1.Image {
  const user = image.Config?.User?.split(':')[0] ?? '';
  const isNumber = /^\d+$/.test(user);
  const full = (names: readonly string[] | null): string[] =>
    (names ?? []).filter((name) => !name.startsWith('<none>')).map(fullName);
  return {
    id: image.Id,
    repoTags: full(image.RepoTags),
    repoDigests: full(image.RepoDigests),
    size: image.Size,
    ...(isNumber ? { uid: { value: Number(user) } } : {}),
    username: isNumber ? '' : user,
    spec: { image: image.Id },
    pinned: image.RepoTags?.includes(pinned) ?? false,
  };
}

/** Docker leaves out what everybody knows: `busybox:latest` is `docker.io/library/busybox:latest` everywhere else. */
export function fullName(name: string): string {
  const reference = tryParseReference(name);
  return reference === undefined ? name : referenceText(reference);
}

/** An image loses its names one by one; the last one takes its layers along, so a name may be gone already. */
async function removeName(api: DockerApi, name: string, signal: AbortSignal): Promise<void> {
  const remove = {
    method: 'DELETE',
    path: `/images/${encodeURI(name)}`,
    verb: `remove image ${name}`,
    subject: { object: name },
  } as const;
  try {
    await api.call(remove, signal);
  } catch (err) {
    if (isCriCode(err, 'not-found')) return;
    // Docker has other words for one that a second call removes at the same moment.
    if ((await findImage(api, name, signal)) !== undefined) throw err;
  }
}

async function pull(
  api: DockerApi,
  text: string,
  auth: v1.AuthConfig | null | undefined,
  signal: AbortSignal,
  onProgress: ((progress: PullProgress) => void) | undefined,
): Promise<void> {
  const reference = tryParseReference(text);
  if (reference === undefined) throw criError('invalid-argument', `pull image: "${text}" is not an image reference`);
  const progress = await api
    .stream(
      {
        method: 'POST',
        path: '/images/create',
        query: { fromImage: reference.name, tag: reference.digest ?? reference.tag },
        verb: `pull image ${text}`,
        subject: { object: text },
        auth: auth ? dockerAuth(auth) : undefined,
      },
      signal,
    )
    .catch((err: unknown) => {
      signal.throwIfAborted();
      if (isCriCode(err, 'unavailable')) throw err;
      throw pullFailure(text, err instanceof Error ? err.message : String(err), err);
    });
  await follow(text, progress, signal, onProgress);
}

function dockerAuth(auth: v1.AuthConfig): object {
  const {
    username,
    password,
    serverAddress: serveraddress,
    identityToken: identitytoken,
    registryToken: registrytoken,
  } = auth;
  if (!username && auth.auth) {
    const [user = '', ...rest] = Buffer.from(auth.auth, 'base64').toString('utf8').split(':');
    return { username: user, password: rest.join(':'), serveraddress };
  }
  return { username, password, serveraddress, identitytoken, registrytoken };
}

interface PullLine {
  readonly status?: string;
  readonly id?: string;
  readonly error?: string;
}

/** Docker answers 200 at once; how the pull went comes in the last line. */
async function follow(
  text: string,
  progress: Readable,
  signal: AbortSignal,
  onProgress: ((progress: PullProgress) => void) | undefined,
): Promise<void> {
  for await (const line of jsonLines(progress)) {
    const { status = '', id = '', error } = line as PullLine;
    if (error !== undefined) throw pullFailure(text, error);
    onProgress?.({ image: text, text: `${status} ${id}`.trim() });
  }
  signal.throwIfAborted();
}

const unreachable =
  /connection refused|no such host|i\/o timeout|network is unreachable|TLS handshake timeout|deadline exceeded|service unavailable|EOF$/i;
const refused = /unauthorized|denied|no basic auth/i;
const absent = /not found|manifest unknown|does not exist/i;

function pullFailure(text: string, reason: string, cause?: unknown): CriError {
  const message = `pull image ${text}: ${reason}`;
  const options = cause === undefined ? undefined : { cause };
  if (unreachable.test(reason))
    return new CriError(message, { code: 'unavailable', pullReason: 'RegistryUnavailable' }, options);
  if (absent.test(reason)) return new CriError(message, { code: 'not-found' }, options);
  return new CriError(message, { code: refused.test(reason) ? 'permission-denied' : 'unknown' }, options);
}
