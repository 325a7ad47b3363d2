import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeEnd, programSucceeded, type RunProgram } from '../../../../base/run-program.js';
import { errnoOf } from '../../../../base/errors.js';
import { imageError } from '../image-error.js';
import { parseIndex, refNameAnnotation, type Descriptor } from '../oci-documents.js';
import { referenceText, tryParseReference } from '../reference.js';

/** The images of an archive, in its order, with the names it gives them. */
export type ArchiveContent =
  | { readonly kind: 'docker-archive'; readonly images: ReadonlyArray<{ readonly tags: readonly string[] }> }
  | {
      readonly kind: 'oci-archive' | 'oci-layout';
      readonly images: ReadonlyArray<{ readonly tags: readonly string[]; readonly manifest: Descriptor }>;
    };

export interface ReadArchiveDeps {
  readonly run: RunProgram;
  readonly tarPath: string;
  readonly env: Readonly<Record<string, string>>;
}

const listTimeoutMs = 10 * 60_000;

/** Finds out what kind of archive a path is by what is in it; throws `archive-invalid` for all else. */
export async function readArchiveContent(
  path: string,
  deps: ReadArchiveDeps,
  signal: AbortSignal,
): Promise<ArchiveContent> {
  const what = `import ${path}`;
  if ((await statArchive(path, what)).isDirectory()) {
    const index = await readFile(join(path, 'index.json')).catch((err: unknown) => {
      throw imageError('archive-invalid', `${what}: the folder is no OCI layout: it has no index.json`, err);
    });
    return { kind: 'oci-layout', images: layoutImages(index, what) };
  }
  const docker = await member(path, 'manifest.json', deps, signal);
  if (docker.content !== undefined) return { kind: 'docker-archive', images: dockerImages(docker.content, what) };
  const oci = await member(path, 'index.json', deps, signal);
  if (oci.content !== undefined) return { kind: 'oci-archive', images: layoutImages(oci.content, what) };
  throw imageError(
    'archive-invalid',
    `${what}: neither a docker-archive (no manifest.json) nor an oci-archive (no index.json): ${docker.words}`,
  );
}

async function statArchive(path: string, what: string): ReturnType<typeof stat> {
  try {
    return await stat(path);
  } catch (err) {
    throw imageError('archive-invalid', `${what}: cannot be read (${errnoOf(err) ?? 'unknown'})`, err);
  }
}

/** One file of the archive, whether its names begin with `./` or not. */
async function member(
  path: string,
  name: string,
  deps: ReadArchiveDeps,
  signal: AbortSignal,
): Promise<{ content: Buffer | undefined; words: string }> {
  const result = await deps.run(
    {
      argv: [
        deps.tarPath,
        '--extract',
        '--to-stdout',
        '--occurrence=1',
        `--file=${path}`,
        '--force-local',
        name,
        `./${name}`,
      ],
      env: deps.env,
      timeoutMs: listTimeoutMs,
      maxOutputBytes: 4 * 1024 * 1024,
    },
    signal,
  );
  if (result.end.kind === 'not-started')
    throw imageError('program-missing', `run ${deps.tarPath}: ${describeEnd(result)}`);
  // tar fails because only one of the two names is there; the content is what counts.
  const isWhole = programSucceeded(result) || (result.end.kind === 'exited' && result.stdout.length > 0);
  return { content: isWhole && result.stdout.length > 0 ? result.stdout : undefined, words: describeEnd(result) };
}

function dockerImages(bytes: Buffer, what: string): ReadonlyArray<{ tags: readonly string[] }> {
  let list: unknown;
  try {
    list = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw imageError('archive-invalid', `${what}: its manifest.json is not JSON`);
  }
  if (!Array.isArray(list) || list.length === 0)
    throw imageError('archive-invalid', `${what}: its manifest.json names no image`);
  return list.map((item: unknown) => {
    const tags = typeof item === 'object' && item !== null && 'RepoTags' in item ? item.RepoTags : undefined;
    return { tags: Array.isArray(tags) ? fullNames(tags) : [] };
  });
}

function layoutImages(bytes: Buffer, what: string): ReadonlyArray<{ tags: readonly string[]; manifest: Descriptor }> {
  let manifests: readonly Descriptor[];
  try {
    manifests = parseIndex(bytes, 'index.json');
  } catch (err) {
    throw imageError('archive-invalid', `${what}: its index.json cannot be used`, err);
  }
  if (manifests.length === 0) throw imageError('archive-invalid', `${what}: its index.json names no image`);
  const byDigest = new Map<string, { tags: readonly string[]; manifest: Descriptor }>();
  for (const manifest of manifests) {
    // containerd writes the full name beside a `ref.name` that is only the tag.
    const name = manifest.annotations?.['io.containerd.image.name'] ?? manifest.annotations?.[refNameAnnotation];
    const tags = fullNames(name === undefined ? [] : [name]);
    const known = byDigest.get(manifest.digest);
    byDigest.set(manifest.digest, { manifest, tags: known === undefined ? tags : [...known.tags, ...tags] });
  }
  return [...byDigest.values()];
}

/** Names that are references with a tag, in full form; a bare tag ("latest") names nothing. */
function fullNames(names: readonly unknown[]): string[] {
  return names.flatMap((name) => {
    const reference = typeof name === 'string' && /[/:]/.test(name) ? tryParseReference(name) : undefined;
    return reference?.tag === undefined ? [] : [referenceText({ ...reference, digest: undefined })];
  });
}
