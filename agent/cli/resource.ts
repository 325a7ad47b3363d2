import { kindOf } from '../serving/node-api/object-kinds.js';
import { usage } from './client/index.js';

/** What `get`, `describe` and `delete` can be asked for. */
export type Resource =
  | { readonly type: 'pods' | 'manifests' | 'events' | 'images' | 'nodes' | 'plugins' }
  | { readonly type: 'objects'; readonly kind: string };

const words: Readonly<Record<string, 'pods' | 'manifests' | 'events' | 'images' | 'nodes' | 'plugins'>> = {
  pods: 'pods',
  pod: 'pods',
  po: 'pods',
  manifests: 'manifests',
  manifest: 'manifests',
  events: 'events',
  event: 'events',
  ev: 'events',
  images: 'images',
  image: 'images',
  nodes: 'nodes',
  node: 'nodes',
  no: 'nodes',
  plugins: 'plugins',
  plugin: 'plugins',
};

export function resourceOf(word: string): Resource {
  const type = words[word.toLowerCase()];
  if (type) return { type };
  const kind = kindOf(word);
  if (kind) return { type: 'objects', kind };
  throw usage(
    `this node has no resource type "${word}"; it has pods, manifests, events, images, nodes, plugins, configmaps, secrets, ...`,
  );
}

export interface Asked {
  readonly resource: Resource;
  readonly names: readonly string[];
}

/** `pods`, `pod web db`, `pod/web`, `pod/web configmap/a` (of one type). */
export function parseAsked(args: readonly string[]): Asked {
  const [first = '', ...rest] = args;
  if (!first.includes('/')) return { resource: resourceOf(first), names: rest };
  const pairs = args.map((arg): [string, string] => {
    const slash = arg.indexOf('/');
    if (slash <= 0 || slash === arg.length - 1)
      throw usage(`read ${JSON.stringify(arg)}: expected TYPE/NAME, as the others`);
    return [arg.slice(0, slash), arg.slice(slash + 1)];
  });
  const types = new Set(pairs.map(([type]) => JSON.stringify(resourceOf(type))));
  if (types.size > 1) throw usage('only one resource type at a time');
  return { resource: resourceOf(pairs[0]?.[0] ?? ''), names: pairs.map(([, name]) => name) };
}

/** A pod's name, with or without `pod/`. */
export function podName(arg: string): string {
  const match = /^(?:pods?|po)\/(.+)$/.exec(arg);
  const name = match?.[1] ?? arg;
  if (name.includes('/')) throw usage(`read ${JSON.stringify(arg)}: expected the name of a pod, or pod/NAME`);
  return name;
}
