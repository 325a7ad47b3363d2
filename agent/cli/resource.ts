import { isNamespaced } from '../api/object-scope.js';
import { suggest } from '../api/suggest.js';
import { kindOf, objectKinds } from '../serving/node-api/object-kinds.js';
import { usage } from './client/index.js';

/** What `get`, `describe` and `delete` can be asked for. */
export type Resource =
  | { readonly type: 'pods' | 'manifests' | 'events' | 'images' | 'nodes' | 'plugins' }
  | { readonly type: 'objects'; readonly kind: string; readonly plural: string };

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
  if (kind) return objectsOf(kind);
  const known = resourceWords();
  const near = suggest(word, [...known, ...Object.keys(words), ...Object.values(objectKinds).flat()]);
  const hint = near === undefined ? `it has ${known.join(', ')}` : `did you mean "${near}"?`;
  throw usage(`this node has no resource type "${word}"; ${hint}`);
}

/** The word for many of each type. */
export function resourceWords(): string[] {
  return [...new Set<string>(Object.values(words)), ...Object.values(objectKinds).map(([plural = '']) => plural)];
}

const objectsOf = (kind: keyof typeof objectKinds): Resource => {
  return { type: 'objects', kind, plural: objectKinds[kind]?.[0] ?? kind };
};

export interface Asked {
  readonly resource: Resource;
  readonly names: readonly string[];
}

/** What people may have put here themselves. */
const everything: readonly Resource[] = [
  { type: 'pods' },
  ...(Object.keys(objectKinds) as (keyof typeof objectKinds)[]).filter(isNamespaced).map(objectsOf),
];

/** `pods`, `pods,configmaps`, `all`, `pod web db`, `pod/web`, `pod/web configmap/a`. */
export function parseAsked(args: readonly string[]): Asked[] {
  const [first = '', ...rest] = args;
  if (first === 'all' && rest.length === 0) return everything.map((resource) => ({ resource, names: [] }));
  if (!first.includes('/')) return first.split(',').map((word) => ({ resource: resourceOf(word), names: rest }));
  const asked = new Map<string, { readonly resource: Resource; readonly names: string[] }>();
  for (const arg of args) {
    const slash = arg.indexOf('/');
    if (slash <= 0 || slash === arg.length - 1)
      throw usage(`read ${JSON.stringify(arg)}: expected TYPE/NAME, as the others`);
    const resource = resourceOf(arg.slice(0, slash));
    const key = JSON.stringify(resource);
    const known = asked.get(key) ?? { resource, names: [] };
    asked.set(key, known);
    known.names.push(arg.slice(slash + 1));
  }
  return [...asked.values()];
}

/** A pod's name, with or without `pod/`. */
export function podName(arg: string): string {
  const match = /^(?:pods?|po)\/(.+)$/.exec(arg);
  const name = match?.[1] ?? arg;
  if (name.includes('/')) throw usage(`read ${JSON.stringify(arg)}: expected the name of a pod, or pod/NAME`);
  return name;
}
