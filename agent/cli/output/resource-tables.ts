import { isNamespaced } from '../../api/object-scope.js';
import type { ManifestReport } from '../../sources/index.js';
import type { ImageRow, NodeView, ObjectRow, PluginRow } from '../../serving/node-api/index.js';
import { ageOf, ageSince } from './age.js';
import { bytesText } from './bytes.js';
import { oneLine } from './table.js';

export interface Table {
  readonly namespaced: boolean;
  readonly header: readonly string[];
  /** By which a row can be asked for, one for each. */
  readonly names: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function manifestTable(reports: readonly ManifestReport[]): Table {
  return {
    namespaced: false,
    header: ['FILE', 'OK', 'OBJECTS', 'PROBLEMS'],
    names: reports.map(({ file }) => file),
    rows: reports.map(({ file, ok, objects, problems }) => [
      file,
      ok ? 'yes' : 'no',
      objects.map(({ kind, key, kept }) => `${kind} ${key}${kept ? ' (last good version)' : ''}`).join(', ') ||
        '<none>',
      problems
        .map(({ line, column, path, message }) => {
          const place = [line, column].filter((part) => part !== undefined).join(':');
          return [place, path, message].filter((part) => part !== '').join(': ');
        })
        .join('; ') || '<none>',
    ]),
  };
}

export function imageTable(images: readonly ImageRow[], wide: boolean, now: number): Table {
  return {
    namespaced: false,
    header: ['IMAGE', 'ID', 'SIZE', 'HELD BY', ...(wide ? ['FREED IF REMOVED', 'LAST USED', 'DIGEST'] : [])],
    names: images.map(({ repoTags, id }) => repoTags[0] ?? id),
    rows: images.map(({ repoTags, repoDigests, id, sizeBytes, uniqueBytes, heldBy, lastUsed }) => [
      repoTags.join(', ') || '<none>',
      id.replace('sha256:', '').slice(0, 12),
      bytesText(sizeBytes),
      heldBy.join(', ') || '<none>',
      ...(wide
        ? [
            uniqueBytes === undefined ? '<unknown>' : bytesText(uniqueBytes),
            lastUsed ? `${ageOf(now - lastUsed)} ago` : '<never>',
            repoDigests[0] ?? '<none>',
          ]
        : []),
    ]),
  };
}

export function nodeTable(node: NodeView, wide: boolean, now: number): Table {
  const isReady = node.conditions.some(({ type, status }) => type === 'Ready' && status);
  const pressures = node.conditions.filter(({ type, status }) => type.endsWith('Pressure') && status);
  const cluster = node.conditions.find(({ type, status }) => type === 'ClusterReachable' && !status);
  return {
    namespaced: false,
    header: [
      'NAME',
      'STATUS',
      'PODS',
      'AGE',
      'VERSION',
      ...(wide ? ['INTERNAL-IP', 'OS-IMAGE', 'KERNEL-VERSION', 'CONTAINER-RUNTIME'] : []),
      ...(cluster ? ['CLUSTER'] : []),
    ],
    names: [node.name],
    rows: [
      [
        node.name,
        [
          isReady ? 'Ready' : 'NotReady',
          ...pressures.map(({ type }) => type),
          ...(cluster ? ['ClusterTrouble'] : []),
        ].join(),
        `${node.pods.running}/${node.pods.total}`,
        ageOf(now - node.startedAt),
        `v${node.kubernetesVersion} (berth ${node.version})`,
        ...(wide
          ? [node.addresses[0] ?? '<none>', node.osImage, node.kernel, `${node.runtime.name}://${node.runtime.version}`]
          : []),
        ...(cluster ? [oneLine(cluster.message, 300)] : []),
      ],
    ],
  };
}

export function pluginTable(plugins: readonly PluginRow[]): Table {
  return {
    namespaced: false,
    header: ['INTERFACE', 'NAME', 'VERSION', 'READY', 'MESSAGE'],
    names: plugins.map(({ name }) => name),
    rows: plugins.map(({ interface: kind, name, version, ready, message }) => [
      kind,
      name || '<none>',
      version || '<none>',
      ready ? 'yes' : 'no',
      oneLine(message, 200),
    ]),
  };
}

/** A column of its own for what people look for in some kinds. */
const extraColumns: Readonly<Record<string, readonly [string, (object: ObjectRow) => string]>> = {
  ConfigMap: ['DATA', ({ data, binaryData }) => String(keysOf(data).length + keysOf(binaryData).length)],
  Secret: ['DATA', ({ data }) => String(keysOf(data).length)],
  PersistentVolumeClaim: ['STATUS', ({ status }) => textOf(status, 'phase')],
  PersistentVolume: ['STATUS', ({ status }) => textOf(status, 'phase')],
  StorageClass: ['PROVISIONER', ({ provisioner }) => (typeof provisioner === 'string' ? provisioner : '')],
  RuntimeClass: ['HANDLER', ({ handler }) => (typeof handler === 'string' ? handler : '')],
};

export function objectTable(kind: string, objects: readonly ObjectRow[], allNamespaces: boolean, now: number): Table {
  const withNamespace = allNamespaces && isNamespaced(kind);
  const extra = extraColumns[kind];
  return {
    namespaced: isNamespaced(kind),
    header: [...(withNamespace ? ['NAMESPACE'] : []), 'NAME', ...(extra ? [extra[0]] : []), 'AGE'],
    names: objects.map(({ metadata }) => metadata.name ?? ''),
    rows: objects.map((object) => [
      ...(withNamespace ? [object.metadata.namespace ?? ''] : []),
      object.metadata.name ?? '',
      ...(extra ? [extra[1](object)] : []),
      ageSince(object.metadata.creationTimestamp, now),
    ]),
  };
}

const keysOf = (value: unknown): string[] => (typeof value === 'object' && value !== null ? Object.keys(value) : []);

function textOf(value: unknown, key: string): string {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
  return typeof found === 'string' ? found : '<unknown>';
}
