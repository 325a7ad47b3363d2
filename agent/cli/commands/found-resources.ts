import type { Event } from '../../api/index.js';
import { suggest } from '../../api/suggest.js';
import type { ManifestReport } from '../../sources/index.js';
import type { ImageList, List, NodeView, ObjectRow, PluginRow, PodView } from '../../serving/node-api/index.js';
import { apiPath, type NodeApiClient } from '../client/index.js';
import { podRow } from '../output/pod-table.js';
import type { Table } from '../output/resource-tables.js';
import type { Resource } from '../resource.js';

/** One object with its line in a table. */
export interface Item {
  readonly object: object;
  readonly name: string;
  readonly row: readonly string[];
}

export interface Found {
  readonly kind: string;
  /** The word for many of them. */
  readonly type: string;
  readonly header: readonly string[];
  readonly items: readonly Item[];
  readonly namespaced: boolean;
}

export interface FindFlags {
  /** Undefined: of all namespaces. */
  readonly namespace: string | undefined;
  readonly wide: boolean;
  readonly showValues: boolean;
}

const podHeader = ['NAME', 'READY', 'STATUS', 'RESTARTS', 'AGE'] as const;
const wideHeader = ['IP', 'NODE', 'WAITING FOR'] as const;

export function podTableHeader({ namespace, wide }: FindFlags): string[] {
  return [...(namespace === undefined ? ['NAMESPACE'] : []), ...podHeader, ...(wide ? wideHeader : [])];
}

export function podItem({ pod, waits }: PodView, { namespace, wide }: FindFlags): Item {
  const row = podRow({ pod, status: pod.status, uid: pod.metadata?.uid ?? '', waits }, Date.now());
  return {
    object: pod,
    name: pod.metadata?.name ?? '',
    row: [
      ...(namespace === undefined ? [row.namespace] : []),
      ...[row.name, row.ready, row.status, row.restarts, row.age],
      ...(wide ? [row.ip, row.node, row.waitingFor] : []),
    ],
  };
}

/** All of a type, as a table and as objects. What only other types need is only loaded for them. */
export async function findResources(resource: Resource, flags: FindFlags, client: NodeApiClient): Promise<Found> {
  const { namespace } = flags;
  if (resource.type === 'pods') {
    const { items } = await client.get<List<PodView>>('/v1/pods', { namespace });
    const found = items.map((view) => podItem(view, flags));
    return { kind: 'Pod', type: 'pods', header: podTableHeader(flags), items: found, namespaced: true };
  }
  const tables = await import('../output/resource-tables.js');
  const all = namespace === undefined;
  switch (resource.type) {
    case 'manifests': {
      const { items } = await client.get<List<ManifestReport>>('/v1/manifests');
      return found('Manifest', resource.type, items, tables.manifestTable(items));
    }
    case 'events': {
      const { eventTable } = await import('../output/event-table.js');
      const { items } = await client.get<List<Event>>('/v1/events', { namespace });
      return found('Event', resource.type, items, eventTable(items, all, Date.now()));
    }
    case 'images': {
      const { items } = await client.get<ImageList>('/v1/images');
      return found('Image', resource.type, items, tables.imageTable(items, flags.wide, Date.now()));
    }
    case 'nodes': {
      const node = await client.get<NodeView>('/v1/node');
      const { nodeObject } = await import('../output/node-object.js');
      return found('Node', resource.type, [nodeObject(node)], tables.nodeTable(node, flags.wide, Date.now()));
    }
    case 'plugins': {
      const { items } = await client.get<List<PluginRow>>('/v1/plugins');
      return found('Plugin', resource.type, items, tables.pluginTable(items));
    }
    case 'objects': {
      const query = { namespace, values: flags.showValues };
      const { items } = await client.get<List<ObjectRow>>(apiPath('/v1/objects/{}', resource.kind), query);
      return found(resource.kind, resource.plural, items, tables.objectTable(resource.kind, items, all, Date.now()));
    }
  }
}

/** With the one that was meant, where one is near. */
export function notFoundText({ type, items }: Found, name: string): string {
  const near = suggest(
    name,
    items.map((item) => item.name),
  );
  return `Error: ${type} "${name}" not found${near === undefined ? '' : `; did you mean "${near}"?`}\n`;
}

function found(kind: string, type: string, objects: readonly object[], table: Table): Found {
  const { header, namespaced, names, rows } = table;
  const items = objects.map((object, index) => ({ object, name: names[index] ?? '', row: rows[index] ?? [] }));
  return { kind, type, header, items, namespaced };
}
