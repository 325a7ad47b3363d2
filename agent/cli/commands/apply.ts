import { errorText } from '../../../base/errors.js';
import type {
  AppliedObject,
  DeletedObjects,
  List,
  ObjectRow,
  PodView,
  WatchLine,
} from '../../serving/node-api/index.js';
import { apiPath, ClientError, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { renderValue, wantsObjects } from '../output/print-objects.js';
import { readManifests } from '../read-manifests.js';
import { parseAsked, type Resource } from '../resource.js';
import { chooser } from './choose-items.js';
import { findResources } from './found-resources.js';

export interface ApplyFlags extends ClientFlags {
  readonly filename?: readonly string[] | undefined;
  readonly namespace?: string | undefined;
  readonly output?: string | undefined;
  readonly recursive?: boolean | undefined;
}

export async function apply(
  strays: readonly string[],
  flags: ApplyFlags,
  { client, out, err }: CommandContext,
): Promise<number> {
  const { filename, namespace, output, recursive } = flags;
  const [stray] = strays;
  if (stray !== undefined)
    throw usage(
      `apply: ${JSON.stringify(stray)} is no option; files are given with -f, as in: berth apply -f ${stray}`,
    );
  if (!filename?.length) throw usage('apply: expected -f FILE, -f FOLDER or -f - for standard input');
  if (output !== undefined && !['name', 'json', 'yaml'].includes(output))
    throw usage(`apply: read -o ${output}: expected name, json or yaml`);
  let failed = 0;
  const applied: AppliedObject[] = [];
  for (const { name, text } of await readManifests(filename, recursive)) {
    try {
      const { items } = await client.post<List<AppliedObject>>('/v1/apply', { namespace }, text);
      applied.push(...items);
      if (wantsObjects(output)) continue;
      for (const item of items)
        out.write(output === 'name' ? `${kindName(item)}\n` : `${kindName(item)} ${item.verb}\n`);
    } catch (failure) {
      if (!(failure instanceof ClientError) || failure.failure.code !== 'refused') throw failure;
      // The other files may be good; each says what is wrong with it.
      err.write(`error: ${name}: ${failure.message}\n`);
      failed++;
    }
  }
  if (wantsObjects(output) && applied.length > 0) out.write(await renderValue(await stored(applied, client), output));
  return failed === 0 ? 0 : 1;
}

/** The objects as the agent has them now; one alone, more as a list, as kubectl. */
async function stored(applied: readonly AppliedObject[], client: CommandContext['client']): Promise<unknown> {
  const objects: unknown[] = [];
  for (const { kind, namespace = '', name } of applied) {
    if (kind === 'Pod') {
      objects.push((await client.get<PodView>(apiPath('/v1/pods/{}/{}', namespace, name))).pod);
      continue;
    }
    const { items } = await client.get<List<ObjectRow>>(apiPath('/v1/objects/{}', kind), { namespace, name });
    objects.push(...items);
  }
  return objects.length === 1 ? objects[0] : { apiVersion: 'v1', kind: 'List', items: objects };
}

const kindName = ({ kind, name }: AppliedObject): string => `${kind.toLowerCase()}/${name}`;

export interface DeleteFlags extends ApplyFlags {
  readonly gracePeriod?: number | undefined;
  readonly force?: boolean | undefined;
  readonly now?: boolean | undefined;
  readonly wait?: boolean | undefined;
  readonly timeout?: number | undefined;
  readonly ignoreNotFound?: boolean | undefined;
  readonly all?: boolean | undefined;
  readonly allNamespaces?: boolean | undefined;
  readonly selector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

/** Deletes, and waits until nothing of the pods is left unless told not to. */
export async function remove(args: readonly string[], flags: DeleteFlags, context: CommandContext): Promise<number> {
  const { out } = context;
  if (args.length === 0 && !flags.filename?.length)
    throw usage('delete: expected a type and names, as in: berth delete pod NAME, or -f FILE');
  if (flags.output !== undefined && flags.output !== 'name')
    throw usage(`delete: read -o ${flags.output}: expected name`);
  const query = { namespace: flags.namespace ?? 'default', gracePeriodSeconds: graceOf(flags) };
  const deleted: AppliedObject[] = [];
  const told = (item: AppliedObject): void => {
    deleted.push(item);
    const how = query.gracePeriodSeconds === 0 ? 'force deleted' : 'deleted';
    out.write(flags.output === 'name' ? `${kindName(item)}\n` : `${item.kind.toLowerCase()} "${item.name}" ${how}\n`);
  };
  try {
    const failures: unknown[] = [];
    if (flags.filename?.length) {
      if (args.length > 0) throw usage('delete: give -f FILE or a type with names, not both');
      for (const { text } of await readManifests(flags.filename, flags.recursive)) {
        try {
          const answer = await context.client.post<DeletedObjects>('/v1/delete', query, text);
          answer.items.forEach(told);
          for (const { status, message } of answer.failures)
            collect(new ClientError(message, { code: 'refused', status, reason: 'Failed' }), failures, flags);
        } catch (err) {
          collect(err, failures, flags);
        }
      }
    } else await removeNamed(args, query, flags, context, { told, failures });
    throwAll(failures);
  } finally {
    // Some may be on their way when another could not be deleted.
    if (flags.wait !== false) await waitUntilGone(deleted, flags, context);
  }
  return 0;
}

async function removeNamed(
  args: readonly string[],
  query: { readonly namespace: string; readonly gracePeriodSeconds: number | undefined },
  flags: DeleteFlags,
  context: CommandContext,
  { told, failures }: { readonly told: (item: AppliedObject) => void; readonly failures: unknown[] },
): Promise<void> {
  for (const { resource, names } of parseAsked(args)) {
    const kind = deletableKind(resource);
    for (const { namespace, name } of await chosenToDelete(resource, names, query.namespace, flags, context)) {
      try {
        const path = apiPath('/v1/objects/{}/{}/{}', kind, namespace, name);
        const { gracePeriodSeconds } = query;
        (await context.client.delete<List<AppliedObject>>(path, { gracePeriodSeconds })).items.forEach(told);
      } catch (err) {
        collect(err, failures, flags);
      }
    }
  }
}

/** One that is gone, that a manifest gives, or a file that cannot be read keeps none of the others from going. */
function collect(err: unknown, failures: unknown[], { ignoreNotFound }: DeleteFlags): void {
  if (!(err instanceof ClientError) || err.failure.code !== 'refused') throw err;
  if (err.failure.status !== 404 || !ignoreNotFound) failures.push(err);
}

function throwAll(failures: readonly unknown[]): void {
  if (failures.length === 0) return;
  const text = failures.map((failure) => errorText(failure)).join('\n');
  throw new ClientError(text, { code: 'refused', status: 0, reason: 'Failed' }, { cause: failures[0] });
}

interface ToDelete {
  readonly namespace: string;
  readonly name: string;
}

async function chosenToDelete(
  resource: Resource,
  names: readonly string[],
  namespace: string,
  flags: DeleteFlags,
  { client, err }: CommandContext,
): Promise<readonly ToDelete[]> {
  const { all, allNamespaces, selector, fieldSelector } = flags;
  const chooses = selector !== undefined || fieldSelector !== undefined;
  if (names.length > 0) {
    if (all || chooses || allNamespaces) throw usage('delete: give names, or --all, or a selector');
    return names.map((name) => ({ namespace, name }));
  }
  if (!all && !chooses)
    throw usage('delete: expected a name, as in: berth delete pod NAME, or -f FILE, -l SELECTOR, --all');
  const where = { namespace: allNamespaces ? undefined : namespace, wide: false, showValues: false };
  const found = await findResources(resource, where, client);
  const chosen = found.items.filter(await chooser([], flags));
  if (chosen.length === 0) err.write('No resources found\n');
  return chosen.map(({ name, object }) => {
    const { metadata } = object as { metadata?: { namespace?: string } };
    return { namespace: metadata?.namespace ?? namespace, name };
  });
}

function deletableKind(resource: Resource): string {
  if (resource.type === 'pods') return 'Pod';
  if (resource.type === 'objects') return resource.kind;
  if (resource.type === 'images') throw usage('delete: images go with: berth images rm NAME');
  throw usage(`delete: ${resource.type} cannot be deleted`);
}

function graceOf({ gracePeriod, force, now }: DeleteFlags): number | undefined {
  if (now && gracePeriod !== undefined) throw usage('delete: --now and --grace-period cannot be used together');
  if (now) return 1;
  if (force) return gracePeriod ?? 0;
  if (gracePeriod === 0) throw usage('delete: --grace-period=0 ends the containers at once; say --force too');
  return gracePeriod;
}

async function waitUntilGone(
  deleted: readonly AppliedObject[],
  flags: DeleteFlags,
  { client, err, signal }: CommandContext,
): Promise<void> {
  const left = new Set(deleted.filter(({ kind }) => kind === 'Pod').map(({ uid }) => uid ?? ''));
  if (left.size === 0) return;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = flags.timeout ? setTimeout(() => stop.abort(), flags.timeout * 1000) : undefined;
  const there = new Set<string>();
  const call = { method: 'GET', path: '/v1/pods', query: { watch: true } } as const;
  try {
    for await (const line of client.lines<WatchLine<PodView>>(call, stop.signal)) {
      if (line.type === 'SYNCED') [...left].filter((uid) => !there.has(uid)).forEach((uid) => left.delete(uid));
      else if (line.type === 'DELETED') left.delete(line.object.pod.metadata?.uid ?? '');
      else there.add(line.object.pod.metadata?.uid ?? '');
      if (left.size === 0) return;
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    stop.abort();
  }
  const names = deleted.filter(({ uid }) => left.has(uid ?? '')).map(({ name }) => name);
  err.write(`still ending: ${names.join(', ')}; see: berth why ${names[0]}\n`);
  if (!signal.aborted) throw new ClientError('timed out waiting for the pods to be gone', { code: 'broken' });
}
