import { errorText } from '../../../../base/errors.js';
import type { Agent } from '../../../agent.js';
import {
  isNamespaced,
  loadManifestReader,
  podKey,
  type KubeObject,
  type ManifestEntry,
  type ManifestProblem,
  type ManifestReader,
  type ObjectMeta,
  type Pod,
} from '../../../api/index.js';
import type { LocalControlPlane } from '../../../controlplane/local/local-control-plane.js';
import type { ObjectKey, StoredObject } from '../../../controlplane/local/object-store.js';
import type { ReadableKind } from '../../../controlplane/control-plane.js';
import { resizeProblem } from '../../../resources/resize/resize-problem.js';
import { ApiError, reasonStatus } from '../api-error.js';
import { forbiddenPodChange, sameObject } from '../applied-change.js';
import type { AppliedObject, DeletedObjects, List, ObjectRow } from '../contract.js';
import { kindOf } from '../object-kinds.js';
import { findPod, manifestOf, manifestOfObject } from '../pod-view.js';
import { flag, readBody, value, wholeNumber, type Answer, type ApiRequest, type CallRoute } from '../route.js';
import { withoutSecrets } from '../without-secrets.js';

/** A manifest of two thousand pods is about this large. */
const mostManifestBytes = 8 * 1024 * 1024;

export function objectRoutes(agent: Agent): CallRoute[] {
  let reader: Promise<ManifestReader> | undefined;
  const read = async (request: ApiRequest): Promise<ManifestEntry[]> => {
    const text = await readBody(request.raw, mostManifestBytes);
    reader ??= loadManifestReader().catch((err: unknown) => {
      reader = undefined;
      throw err;
    });
    return (await reader).readText(text);
  };
  return [
    {
      method: 'GET',
      path: '/v1/objects/{kind}',
      handle: ({ params, query }, signal) => listObjects(agent, params, query, signal),
    },
    { method: 'POST', path: '/v1/apply', handle: async (request) => apply(agent, await read(request), request.query) },
    {
      method: 'POST',
      path: '/v1/delete',
      handle: async (request) => deleteAll(agent, await read(request), request.query),
    },
    {
      method: 'DELETE',
      path: '/v1/objects/{kind}/{namespace}/{name}',
      handle: async ({ params, query }) => {
        const kind = params.kind === 'Pod' ? 'Pod' : requireKind(params.kind ?? '');
        const { namespace = '', name = '' } = params;
        return value({
          items: [await deleteOne(agent, { kind, namespace, name }, query)],
        } satisfies List<AppliedObject>);
      },
    },
  ];
}

function requireKind(word: string): ReadableKind {
  const kind = kindOf(word);
  if (!kind) throw new ApiError('NotFound', `this node has no resource type "${word}"`);
  return kind;
}

function requireLocal(agent: Agent): LocalControlPlane {
  if (agent.local) return agent.local;
  throw new ApiError('NotImplemented', `change objects: they belong to ${agent.controlPlane.description}; use kubectl`);
}

async function listObjects(
  agent: Agent,
  params: Readonly<Record<string, string>>,
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<Answer> {
  const kind = requireKind(params.kind ?? '');
  const name = query.get('name');
  const found = await agent.controlPlane.list(kind, query.get('namespace') ?? '', signal);
  const items = found
    .map((object) => ({ ...object, kind }) as unknown as ObjectRow)
    .filter(({ metadata }) => name === null || metadata.name === name)
    .map((object) => (flag(query, 'values') ? object : withoutSecrets(object)))
    .toSorted((a, b) => podKey(a).localeCompare(podKey(b)));
  return value({ items } satisfies List<ObjectRow>);
}

/** All or nothing up to the first write: one problem anywhere, and nothing is changed. */
async function apply(agent: Agent, entries: readonly ManifestEntry[], query: URLSearchParams): Promise<Answer> {
  const local = requireLocal(agent);
  const objects = readable(entries, query.get('namespace') ?? 'default').map((object) => bound(agent, object));
  if (objects.length === 0) throw new ApiError('BadRequest', 'apply: there is no object in what was sent');
  const existing = objects.map((object) => storedOf(local, object));
  const problems = objects.flatMap((object, index) => refusals(agent, local, object, existing[index]));
  if (problems.length > 0) throw new ApiError('Invalid', problems.map(({ message }) => message).join('\n'), problems);
  const items: AppliedObject[] = [];
  for (const [index, object] of objects.entries()) {
    const before = existing[index];
    if (before && sameObject(before, object)) items.push(appliedObject(before, 'unchanged'));
    else {
      const { object: stored, verb } = await local.apply(object);
      items.push(appliedObject(stored, verb));
    }
  }
  return value({ items } satisfies List<AppliedObject>);
}

/** The objects with their namespace, or all that is wrong with them. */
function readable(entries: readonly ManifestEntry[], namespace: string): KubeObject[] {
  const problems = entries.flatMap((entry) => entry.problems);
  if (problems.length > 0) {
    const broken = entries.filter((entry) => entry.problems.length > 0).length;
    throw new ApiError(
      'Invalid',
      `read manifest: ${broken} of ${entries.length} objects cannot be used; nothing was changed`,
      problems,
    );
  }
  return entries.flatMap(({ object }) => {
    if (!object) return [];
    const scope = isNamespaced(object.kind ?? '') ? { namespace: metaOf(object).namespace ?? namespace } : {};
    return [{ ...object, metadata: { ...object.metadata, ...scope } } as KubeObject];
  });
}

/** There is one node to run on, and nobody else to say so. */
function bound(agent: Agent, object: KubeObject): KubeObject {
  const { nodeName } = agent.config;
  if (object.kind !== 'Pod' || object.spec?.nodeName === nodeName) return object;
  if (object.spec?.nodeName)
    throw new ApiError(
      'Invalid',
      `pod ${podKey(object)}: spec.nodeName is "${object.spec.nodeName}", this node is "${nodeName}"`,
    );
  return { ...object, spec: { ...object.spec, containers: object.spec?.containers ?? [], nodeName } };
}

function storedOf(local: LocalControlPlane, object: KubeObject): StoredObject | undefined {
  return local.stored(keyOf(object));
}

/** Lists have other metadata; the reader has taken them apart. */
const metaOf = (object: KubeObject): ObjectMeta => object.metadata ?? {};

const keyOf = (object: KubeObject): ObjectKey => {
  const { namespace = '', name = '' } = metaOf(object);
  return { kind: object.kind ?? '', namespace, name };
};

const objectKeyText = ({ namespace, name }: ObjectKey): string => (namespace === '' ? name : `${namespace}/${name}`);

/** The manifest that gives an object. */
const fileOf = (agent: Agent, key: ObjectKey): string | undefined =>
  manifestOfObject(agent, key.kind, objectKeyText(key));

function refusals(
  agent: Agent,
  local: LocalControlPlane,
  object: KubeObject,
  before: StoredObject | undefined,
): ManifestProblem[] {
  const refuse = (message: string): ManifestProblem[] => [{ code: 'invalid', path: '', message }];
  const file = fileOf(agent, keyOf(object));
  if (file !== undefined) {
    const { kind = '' } = object;
    return refuse(`${kind.toLowerCase()} ${objectKeyText(keyOf(object))} is given by ${file}; change it there`);
  }
  if (object.kind !== 'Pod') return [];
  const pod = object;
  const key = podKey(pod);
  if (!before || !local.isApplied(before)) return [];
  if (before.metadata?.deletionTimestamp !== undefined)
    return refuse(`pod ${key} is being deleted; apply it again when it is gone`);
  const change = forbiddenPodChange(before as Pod, pod);
  const resize = resizeProblem(before as Pod, pod);
  if (change === undefined) return resize === undefined ? [] : refuse(`pod ${key}: ${resize}`);
  return refuse(`pod ${key}: ${change} cannot be changed while the pod exists; delete it first, then apply`);
}

async function deleteAll(agent: Agent, entries: readonly ManifestEntry[], query: URLSearchParams): Promise<Answer> {
  const items: AppliedObject[] = [];
  const failed: ApiError[] = [];
  for (const object of readable(entries, query.get('namespace') ?? 'default').toReversed()) {
    try {
      items.push(await deleteOne(agent, keyOf(object), query));
    } catch (err) {
      // That one is gone, or given by a manifest, keeps none of the others from going.
      if (!(err instanceof ApiError) || !['NotFound', 'Conflict'].includes(err.failure.code)) throw err;
      failed.push(err);
    }
  }
  const worst = failed.find(({ failure }) => failure.code !== 'NotFound') ?? failed[0];
  if (items.length === 0 && worst) throw new ApiError(worst.failure.code, failed.map(errorText).join('\n'));
  const failures = failed.map(({ failure, message }) => ({ status: reasonStatus[failure.code], message }));
  return value({ items, failures } satisfies DeletedObjects);
}

async function deleteOne(agent: Agent, key: ObjectKey, query: URLSearchParams): Promise<AppliedObject> {
  const local = requireLocal(agent);
  const scoped = isNamespaced(key.kind) ? key : { ...key, namespace: '' };
  const what = `${key.kind.toLowerCase()} "${key.name}"${scoped.namespace === '' ? '' : ` in namespace "${scoped.namespace}"`}`;
  const before = local.stored(scoped);
  const pod = key.kind === 'Pod' ? findPod(agent, key.namespace, key.name) : undefined;
  if (!before && !pod) throw new ApiError('NotFound', `delete ${what}: not found`);
  if (!before || !local.isApplied(before)) {
    const file = pod?.pod ? manifestOf(agent, pod.pod) : fileOf(agent, scoped);
    throw new ApiError('Conflict', `delete ${what}: it is given by ${file ?? 'a manifest'}; remove it there`);
  }
  await local.delete(scoped, wholeNumber(query, 'gracePeriodSeconds'));
  return appliedObject(before, 'deleted');
}

function appliedObject(object: StoredObject, verb: AppliedObject['verb']): AppliedObject {
  const { name = '', namespace, uid } = object.metadata ?? {};
  return { apiVersion: object.apiVersion ?? 'v1', kind: object.kind ?? '', namespace, name, uid, verb };
}
