import { isNamespaced, podKey, type KubeObject, type ManifestEntry, type Pod } from '../api/index.js';
import type { ManifestReport, ReportedProblem } from './pod-source.js';
import { apiReferences, staticPod, type StaticOrigin, type StaticPodOptions } from './static-pod.js';

export interface ManifestOptions extends StaticPodOptions {
  /** True takes objects of other kinds too, for the local control plane; false reports them. */
  readonly otherKinds: boolean;
}

/** One object of a manifest that is in force. */
export interface HeldObject {
  /** `Pod default/web`, by the names in the manifest. */
  readonly key: string;
  readonly object: KubeObject;
}

export interface ManifestContents {
  readonly held: readonly HeldObject[];
  readonly report: ManifestReport;
}

/**
 * What a manifest puts in force. A broken object does not stop anything: while a manifest has a problem, whatever it held
 * before and does not hold in a good version now stays in force.
 */
export function manifestContents(
  file: string,
  origin: StaticOrigin,
  entries: readonly ManifestEntry[],
  before: readonly HeldObject[],
  options: ManifestOptions,
  seenAt: (uid: string) => string,
): ManifestContents {
  const problems: ReportedProblem[] = [];
  const good = new Map<string, HeldObject>();
  for (const entry of entries) {
    const key = entryKey(entry);
    const held = heldObject(entry, origin, options, seenAt);
    if ('problems' in held) problems.push(...held.problems.map((problem) => ({ ...problem, object: key })));
    else if (good.has(held.key)) problems.push({ ...duplicate(entry), object: key });
    else good.set(held.key, held);
  }
  return contents(file, [...good.values()], problems, before);
}

/** As `manifestContents` for a manifest that could not be read at all. */
export function unreadableManifest(file: string, message: string, before: readonly HeldObject[]): ManifestContents {
  return contents(file, [], [{ code: 'invalid', path: '', message }], before);
}

function contents(
  file: string,
  good: readonly HeldObject[],
  problems: readonly ReportedProblem[],
  before: readonly HeldObject[],
): ManifestContents {
  const fresh = new Set(good.map(({ key }) => key));
  const kept = problems.length === 0 ? [] : before.filter(({ key }) => !fresh.has(key));
  const objects = [
    ...good.map(({ key, object }) => ({ kind: object.kind ?? '', key: nameIn(key), kept: false })),
    ...kept.map(({ key, object }) => ({ kind: object.kind ?? '', key: nameIn(key), kept: true })),
  ];
  return { held: [...good, ...kept], report: { file, ok: problems.length === 0, problems, objects } };
}

function heldObject(
  entry: ManifestEntry,
  origin: StaticOrigin,
  options: ManifestOptions,
  seenAt: (uid: string) => string,
): HeldObject | { readonly problems: readonly ReportedProblem[] } {
  const { object, written, problems } = entry;
  if (object === undefined || written === undefined) return { problems };
  const key = objectKey(object);
  if (object.kind === 'Pod') {
    const references = options.apiReferences ? [] : apiReferences(object);
    if (references.length > 0) {
      return { problems: references.map((problem) => ({ ...problem, ...entry.locate(problem.path) })) };
    }
    return { key, object: staticPod(object, written as Pod, origin, options, seenAt) };
  }
  if (options.otherKinds) return { key, object: withNamespace(object) };
  const message = `${object.kind} objects belong to the API server; a node of a cluster reads pods only`;
  return { problems: [{ code: 'unsupported-kind', path: 'kind', message, ...entry.locate('kind') }] };
}

function withNamespace(object: KubeObject): KubeObject {
  if (!isNamespaced(object.kind ?? '') || !('metadata' in object)) return object;
  const metadata = object.metadata as { namespace?: string | undefined } | undefined;
  return { ...object, metadata: { ...metadata, namespace: metadata?.namespace ?? 'default' } } as KubeObject;
}

function objectKey(object: KubeObject): string {
  const metadata =
    'metadata' in object ? (object.metadata as { name?: string; namespace?: string } | undefined) : undefined;
  const kind = object.kind ?? '';
  return isNamespaced(kind) ? `${kind} ${podKey({ metadata })}` : `${kind} ${metadata?.name ?? ''}`;
}

function entryKey({ identity }: ManifestEntry): string | undefined {
  const { kind, name, namespace = 'default' } = identity;
  if (kind === undefined || name === undefined) return undefined;
  return isNamespaced(kind) ? `${kind} ${namespace}/${name}` : `${kind} ${name}`;
}

function nameIn(key: string): string {
  return key.slice(key.indexOf(' ') + 1);
}

function duplicate(entry: ManifestEntry): ReportedProblem {
  const message = 'Duplicate value: the manifest has an object of this kind and name already; this one is ignored';
  return { code: 'duplicate-key', path: 'metadata.name', message, ...entry.locate('metadata.name') };
}
