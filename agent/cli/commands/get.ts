import type { Event } from '../../api/index.js';
import type { ManifestReport } from '../../sources/index.js';
import type {
  ImageList,
  List,
  NodeView,
  ObjectRow,
  PluginRow,
  PodView,
  WatchLine,
} from '../../serving/node-api/index.js';
import { apiPath, ClientError, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import {
  imageTable,
  manifestTable,
  nodeTable,
  objectTable,
  pluginTable,
  type Table,
} from '../output/resource-tables.js';
import { eventTable } from '../output/event-table.js';
import { podRow, type PodRow } from '../output/pod-table.js';
import { checkOutput, printObjects, renderValue, wantsObjects, type OutputFlags } from '../output/print-objects.js';
import { parseSelector } from '../output/selector.js';
import { columnWidths, renderRow, renderTable } from '../output/table.js';
import { parseAsked, type Asked } from '../resource.js';

export interface GetFlags extends ClientFlags, OutputFlags {
  readonly namespace?: string | undefined;
  readonly allNamespaces?: boolean | undefined;
  readonly selector?: string | undefined;
  readonly watch?: boolean | undefined;
  readonly watchOnly?: boolean | undefined;
  readonly showValues?: boolean | undefined;
}

export async function get(args: readonly string[], flags: GetFlags, context: CommandContext): Promise<number> {
  checkOutput(flags.output);
  const asked = parseAsked(args);
  if (asked.resource.type === 'pods') return await getPods(asked, flags, context);
  if (flags.watch) return await watchEvents(asked, flags, context);
  return await getOthers(asked, flags, context);
}

const namespaceOf = (flags: GetFlags): string | undefined =>
  flags.allNamespaces ? undefined : (flags.namespace ?? 'default');

const podHeader = ['NAME', 'READY', 'STATUS', 'RESTARTS', 'AGE'] as const;
const wideHeader = ['IP', 'NODE', 'WAITING FOR'] as const;

function podCells(row: PodRow, flags: GetFlags): string[] {
  return [
    ...(flags.allNamespaces ? [row.namespace] : []),
    ...[row.name, row.ready, row.status, row.restarts, row.age],
    ...(flags.output === 'wide' ? [row.ip, row.node, row.waitingFor] : []),
  ];
}

const headerOf = (flags: GetFlags): string[] => [
  ...(flags.allNamespaces ? ['NAMESPACE'] : []),
  ...podHeader,
  ...(flags.output === 'wide' ? wideHeader : []),
];

const rowOf = ({ pod, waits }: PodView, flags: GetFlags): string[] =>
  podCells(podRow({ pod, status: pod.status, uid: pod.metadata?.uid ?? '', waits }, Date.now()), flags);

function podFilter({ names }: Asked, flags: GetFlags): (view: PodView) => boolean {
  const selected = parseSelector(flags.selector ?? '');
  return ({ pod }) =>
    (names.length === 0 || names.includes(pod.metadata?.name ?? '')) && selected(pod.metadata?.labels ?? {});
}

async function getPods(asked: Asked, flags: GetFlags, context: CommandContext): Promise<number> {
  const namespace = namespaceOf(flags);
  const wanted = podFilter(asked, flags);
  if (flags.watch || flags.watchOnly) return await watchPods(namespace, wanted, flags, context);
  const { items } = await context.client.get<List<PodView>>('/v1/pods', { namespace });
  const views = items.filter(wanted);
  await printObjects(
    context,
    {
      kind: 'Pod',
      single: asked.names.length === 1,
      objects: views.map(({ pod }) => pod),
      names: views.map(({ pod }) => `pod/${pod.metadata?.name}`),
      header: headerOf(flags),
      rows: views.map((view) => rowOf(view, flags)),
      nothing: nothingFound(namespace),
    },
    asked.names.length > 0 && views.length === 0 ? { ...flags, output: flags.output ?? 'name' } : flags,
  );
  return missing(
    'pods',
    asked.names,
    views.map(({ pod }) => pod.metadata?.name ?? ''),
    context,
  );
}

const nothingFound = (namespace: string | undefined): string =>
  namespace === undefined ? 'No resources found' : `No resources found in ${namespace} namespace.`;

/** kubectl's words for what was asked by name and is not there. */
function missing(type: string, asked: readonly string[], found: readonly string[], { err }: CommandContext): number {
  const absent = asked.filter((name) => !found.includes(name));
  for (const name of absent) err.write(`Error: ${type} "${name}" not found\n`);
  return absent.length === 0 ? 0 : 1;
}

async function watchPods(
  namespace: string | undefined,
  wanted: (view: PodView) => boolean,
  flags: GetFlags,
  { client, out, signal }: CommandContext,
): Promise<number> {
  const shown = new Map<string, string>();
  const first: string[][] = [];
  let widths: number[] | undefined;
  const call = { method: 'GET', path: '/v1/pods', query: { namespace, watch: true } } as const;
  for await (const line of client.lines<WatchLine<PodView>>(call, signal)) {
    if (line.type === 'SYNCED') {
      const header = headerOf(flags);
      widths = columnWidths([header, ...first]);
      if (!wantsObjects(flags.output) && !flags.watchOnly && (first.length > 0 || flags.headers !== false))
        out.write(
          flags.headers === false
            ? first.map((row) => renderRow(row, widths ?? [])).join('')
            : renderTable(header, first),
        );
      continue;
    }
    if (!wanted(line.object)) continue;
    if (wantsObjects(flags.output)) {
      if (widths || !flags.watchOnly) out.write(await renderValue(line.object.pod, flags.output));
      continue;
    }
    const row = rowOf(line.object, flags);
    const uid = line.object.pod.metadata?.uid ?? '';
    // The age alone is no news.
    const news = row.filter((_cell, index) => headerOf(flags)[index] !== 'AGE').join('\0');
    if (shown.get(uid) === news && line.type !== 'DELETED') continue;
    shown.set(uid, news);
    if (widths) out.write(renderRow(row, widths));
    else first.push(row);
  }
  return 0;
}

async function watchEvents(asked: Asked, flags: GetFlags, context: CommandContext): Promise<number> {
  if (asked.resource.type !== 'events') throw usage(`watch: only pods and events can be watched`);
  const { events } = await import('./events.js');
  return await events({ ...flags, watch: true }, context);
}

async function getOthers(asked: Asked, flags: GetFlags, context: CommandContext): Promise<number> {
  const { table, kind, objects } = await fetchTable(asked, flags, context);
  const selected = parseSelector(flags.selector ?? '');
  const chosen = objects.flatMap((object, index) => {
    const name = table.names[index] ?? '';
    const labels = (object as { metadata?: { labels?: Record<string, string> } }).metadata?.labels ?? {};
    return (asked.names.length === 0 || asked.names.includes(name)) && selected(labels)
      ? [{ object, index, name }]
      : [];
  });
  await printObjects(
    context,
    {
      kind,
      single: asked.names.length === 1,
      objects: chosen.map(({ object }) => object),
      names: chosen.map(({ name }) => `${kind.toLowerCase()}/${name}`),
      header: table.header,
      rows: chosen.map(({ index }) => table.rows[index] ?? []),
      nothing: nothingFound(table.namespaced ? namespaceOf(flags) : undefined),
    },
    asked.names.length > 0 && chosen.length === 0 ? { ...flags, output: flags.output ?? 'name' } : flags,
  );
  return missing(
    asked.resource.type === 'objects' ? `${kind.toLowerCase()}s` : asked.resource.type,
    asked.names,
    chosen.map(({ name }) => name),
    context,
  );
}

interface Fetched {
  readonly kind: string;
  readonly table: Table;
  readonly objects: readonly object[];
}

async function fetchTable({ resource }: Asked, flags: GetFlags, { client }: CommandContext): Promise<Fetched> {
  const wide = flags.output === 'wide';
  const namespace = namespaceOf(flags);
  switch (resource.type) {
    case 'manifests': {
      const { items } = await client.get<List<ManifestReport>>('/v1/manifests');
      return { kind: 'Manifest', objects: items, table: manifestTable(items) };
    }
    case 'events': {
      const { items } = await client.get<List<Event>>('/v1/events', { namespace });
      return { kind: 'Event', objects: items, table: eventTable(items, flags.allNamespaces === true, Date.now()) };
    }
    case 'images': {
      const { items } = await client.get<ImageList>('/v1/images');
      return { kind: 'Image', objects: items, table: imageTable(items, wide, Date.now()) };
    }
    case 'nodes': {
      const node = await client.get<NodeView>('/v1/node');
      return { kind: 'Node', objects: [node], table: nodeTable(node, wide, Date.now()) };
    }
    case 'plugins': {
      const { items } = await client.get<List<PluginRow>>('/v1/plugins');
      return { kind: 'Plugin', objects: items, table: pluginTable(items) };
    }
    case 'objects': {
      const query = { namespace, values: flags.showValues === true };
      const { items } = await client.get<List<ObjectRow>>(apiPath('/v1/objects/{}', resource.kind), query);
      const table = objectTable(resource.kind, items, flags.allNamespaces === true, Date.now());
      return { kind: resource.kind, objects: items, table };
    }
    case 'pods':
      throw new ClientError('get: pods are listed elsewhere', { code: 'usage' });
  }
}
