import type { KubeObject } from '../generated/types.js';
import { ObjectDecoder } from './decode-object.js';
import type { ManifestProblem } from '../problem.js';
import { readSchema, type Schema } from './schema.js';
import { suggest } from '../suggest.js';
import { parseTrees, treeOfValue, type ParsedText, type Tree, type TreeProblem } from './yaml-tree.js';

/** Which object it is, as far as that could be read; all of it may be missing in a broken one. */
export interface ObjectIdentity {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

/** One object of a manifest; the items of a list are entries of their own. */
export interface ManifestEntry {
  readonly identity: ObjectIdentity;
  /** Where the object starts, counted from 1. */
  readonly line: number;
  /** Set when there is no problem. */
  readonly object?: KubeObject | undefined;
  /** As `object`, before defaults were filled in: what identity is computed from, so that new defaults change nothing. */
  readonly written?: KubeObject | undefined;
  /** All that is wrong with the object, in the order it was written. */
  readonly problems: readonly ManifestProblem[];
  /** Where a field was written, for problems found later; the nearest parent that was written when it was not. */
  readonly locate: (path: string) => { line?: number | undefined; column?: number | undefined };
}

const nowhere = (): { line?: number | undefined; column?: number | undefined } => ({});
const maxProblems = 100;

/** Decodes manifests; holds the parsed schema, so keep one for as long as manifests are read. */
export class ManifestDecoder {
  readonly #schema: Schema;

  constructor(schema: Schema = readSchema()) {
    this.#schema = schema;
  }

  get kubernetesVersion(): string {
    return this.#schema.version;
  }

  /** All objects of a YAML or JSON text. Broken input gives entries with problems; nothing is thrown. */
  decodeText(input: string | Uint8Array): ManifestEntry[] {
    const { documents, position } = parseTrees(input);
    return documents.flatMap(({ tree, offset, problems }) => this.#decodeDocument(tree, offset, problems, position));
  }

  /** As `decodeText` for a value that is parsed already, such as a JSON request body. */
  decodeValue(value: unknown): ManifestEntry[] {
    const { tree, problems } = treeOfValue(value);
    return this.#decodeDocument(tree, 0, problems, undefined);
  }

  #decodeDocument(
    tree: Tree | undefined,
    offset: number,
    treeProblems: readonly TreeProblem[],
    position: ParsedText['position'] | undefined,
  ): ManifestEntry[] {
    const line = position?.(offset).line ?? 1;
    if (treeProblems.length > 0 || tree === undefined) {
      const problems = treeProblems.map(({ code, message, offset }): ManifestProblem => {
        return { code, path: '', message, ...position?.(offset) };
      });
      return [{ identity: tree === undefined ? {} : identityOf(tree), line, problems, locate: nowhere }];
    }
    const listItems = this.#itemsOf(tree);
    if (listItems === undefined) return [this.#decodeObject(tree, undefined, position)];
    return listItems.items.map((item) => this.#decodeObject(item, listItems.itemKind, position));
  }

  /** The items of a `List` or `PodList`, with the kind they have when they do not say. */
  #itemsOf(tree: Tree): { items: readonly Tree[]; itemKind: ObjectIdentity } | undefined {
    const { apiVersion, kind } = identityOf(tree);
    if (kind === undefined || !kind.endsWith('List') || !Object.hasOwn(this.#schema.kinds, `${apiVersion}/${kind}`)) {
      return undefined;
    }
    const items = child(tree, 'items');
    if (items?.kind !== 'list') return undefined;
    return { items: items.items, itemKind: kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) } };
  }

  #decodeObject(
    tree: Tree,
    listed: ObjectIdentity | undefined,
    position: ParsedText['position'] | undefined,
  ): ManifestEntry {
    const identity = { ...listed, ...identityOf(tree) };
    const decoder = new ObjectDecoder(this.#schema);
    const type = this.#typeOf(identity, tree, decoder);
    const value = type === undefined ? undefined : decoder.decode(`@${type}`, tree, '');
    const found = decoder.problems.toSorted((a, b) => a.offset - b.offset);
    const problems = found.slice(0, maxProblems).map(({ code, path, message, offset }): ManifestProblem => {
      return { code, path, message, ...position?.(offset) };
    });
    if (found.length > maxProblems) {
      problems.push({ code: 'invalid', path: '', message: `and ${found.length - maxProblems} more problems` });
    }
    const typeMeta = { apiVersion: identity.apiVersion, kind: identity.kind };
    const object = found.length === 0 ? ({ ...typeMeta, ...(value as object) } as KubeObject) : undefined;
    return {
      identity,
      line: position?.(tree.offset).line ?? 1,
      object,
      written: object,
      problems,
      locate: position === undefined ? nowhere : (path) => position(offsetOfPath(tree, path)),
    };
  }

  #typeOf({ apiVersion, kind }: ObjectIdentity, tree: Tree, decoder: ObjectDecoder): string | undefined {
    const { kinds } = this.#schema;
    const complain = (path: string, message: string): undefined => {
      return decoder.report('unsupported-kind', path, offsetOfPath(tree, path), message);
    };
    if (tree.kind !== 'map') return complain('', 'expected an object with apiVersion and kind');
    if (kind === undefined || apiVersion === undefined) {
      if (apiVersion === undefined) complain('apiVersion', 'is missing; it must be set, for a Pod to "v1"');
      if (kind === undefined) complain('kind', 'is missing; it must be set, for example to "Pod"');
      return undefined;
    }
    const type = `${apiVersion}/${kind}`;
    if (Object.hasOwn(kinds, type)) return kinds[type];
    const known = Object.keys(kinds).map((each) => ({ kind: each.slice(each.lastIndexOf('/') + 1), each }));
    const other = known.find((each) => each.kind === kind);
    if (other !== undefined) {
      const right = other.each.slice(0, other.each.lastIndexOf('/'));
      return complain(
        'apiVersion',
        `${kind} is known as apiVersion "${right}", not ${JSON.stringify(apiVersion.slice(0, 64))}`,
      );
    }
    const near = suggest(
      kind,
      known.map((each) => each.kind),
    );
    const hint = near === undefined ? 'a node runs pods (kind: Pod), not what makes them' : `did you mean "${near}"?`;
    return complain(
      'kind',
      `unknown kind ${JSON.stringify(kind.slice(0, 64))} in ${JSON.stringify(apiVersion.slice(0, 64))}; ${hint}`,
    );
  }
}

function child(tree: Tree | undefined, key: string): Tree | undefined {
  return tree?.kind === 'map' ? tree.entries.find((entry) => entry.key === key)?.value : undefined;
}

function textOf(tree: Tree | undefined): string | undefined {
  return tree?.kind === 'scalar' && typeof tree.value === 'string' && tree.value !== '' ? tree.value : undefined;
}

function identityOf(tree: Tree): ObjectIdentity {
  const metadata = child(tree, 'metadata');
  const all = {
    apiVersion: textOf(child(tree, 'apiVersion')),
    kind: textOf(child(tree, 'kind')),
    namespace: textOf(child(metadata, 'namespace')),
    name: textOf(child(metadata, 'name')),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Follows `spec.containers[0].image` and `data["a/b"]` as far as the tree goes. */
function offsetOfPath(tree: Tree, path: string): number {
  let at = tree;
  let offset = tree.offset;
  for (const [, quoted, index, name] of path.matchAll(/\[("(?:[^"\\]|\\.)*")\]|\[(\d+)\]|([^.[\]]+)/g)) {
    if (index !== undefined) {
      const item = at.kind === 'list' ? at.items[Number(index)] : undefined;
      if (item === undefined) return offset;
      at = item;
      offset = item.offset;
    } else {
      const key = quoted === undefined ? name : (JSON.parse(quoted) as string);
      const entry = at.kind === 'map' ? at.entries.find((each) => each.key === key) : undefined;
      if (entry === undefined) return offset;
      at = entry.value;
      offset = entry.keyOffset;
    }
  }
  return offset;
}
