import type { CST, Document, LineCounter, Node as YamlNode, Scalar } from 'yaml';
import { loadYaml } from '../../../base/yaml.js';

type Yaml = ReturnType<typeof loadYaml>;

/** A value with the place it was written at; what a manifest is before its kind is known. */
export type Tree =
  | { readonly kind: 'scalar'; readonly value: string | number | boolean | null; readonly offset: number }
  | { readonly kind: 'list'; readonly items: readonly Tree[]; readonly offset: number }
  | { readonly kind: 'map'; readonly entries: readonly TreeEntry[]; readonly offset: number };

export interface TreeEntry {
  readonly key: string;
  readonly keyOffset: number;
  readonly value: Tree;
}

export type TreeProblemCode = 'syntax' | 'not-text' | 'too-large' | 'too-deep' | 'too-many-values';

export interface TreeProblem {
  readonly code: TreeProblemCode;
  readonly message: string;
  readonly offset: number;
}

export interface TreeDocument {
  /** Where the document's first value starts. */
  readonly offset: number;
  /** What could be read; present beside problems too, so that a broken document can still be told by its name. */
  readonly tree: Tree | undefined;
  readonly problems: readonly TreeProblem[];
}

export interface ParsedText {
  readonly documents: readonly TreeDocument[];
  readonly position: (offset: number) => { line: number; column: number };
}

export const manifestLimits = {
  /** The kubelet's limit for a manifest file. */
  bytes: 10 * 1024 * 1024,
  /** No Kubernetes object is half as deep; deeper input would only cost stack. */
  depth: 100,
  /** Values of one document with aliases written out: stops alias bombs. */
  values: 200_000,
  /**
   * Pieces the YAML reader cuts the text into; each costs microseconds during which the agent does nothing else. Enough
   * for some hundred pods in one file. JSON beyond this is read natively, without places.
   */
  pieces: 250_000,
  /** Problems kept of one document. */
  problems: 100,
} as const;

/** Reads YAML or JSON, one tree per document that is not empty. Never throws for what the text says. */
export function parseTrees(input: string | Uint8Array): ParsedText {
  const failed = (code: TreeProblemCode, message: string): ParsedText => ({
    documents: [{ offset: 0, tree: undefined, problems: [{ code, message, offset: 0 }] }],
    position: () => ({ line: 1, column: 1 }),
  });
  if (input.length > manifestLimits.bytes) {
    return failed('too-large', `larger than ${manifestLimits.bytes / 1024 / 1024} MiB`);
  }
  const text = typeof input === 'string' ? input : decodeUtf8(input);
  if (text === undefined) return failed('not-text', 'not UTF-8 text');
  if (text.includes('\0')) return failed('not-text', 'holds a zero byte, so it is not text');

  const yaml = loadYaml();
  const lines = new yaml.LineCounter();
  const position = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const read = readTokens(yaml, text, lines);
  if (Array.isArray(read)) {
    const documents: TreeDocument[] = [];
    for (const document of new yaml.Composer(composerOptions).compose(read, false, text.length)) {
      const tree = readDocument(yaml, document);
      if (tree !== undefined) documents.push(tree);
    }
    return { documents, position };
  }
  const large = read.code === 'too-large' ? parseLargeJson(text) : undefined;
  if (large !== undefined) return { documents: [{ offset: 0, ...treeOfValue(large) }], position };
  return { documents: [{ offset: read.offset, tree: undefined, problems: [read] }], position };
}

/** All tokens of the text, or why they were not read to the end: the work is bounded before it is done. */
function readTokens(yaml: Yaml, text: string, lines: LineCounter): CST.Token[] | TreeProblem {
  const parser = new yaml.Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  let pieces = 0;
  lines.addNewLine(0);
  for (const piece of new yaml.Lexer().lex(text)) {
    if (++pieces > manifestLimits.pieces) {
      return { code: 'too-large', message: 'too many values for one file; split it', offset: parser.offset };
    }
    for (const token of parser.next(piece)) tokens.push(token);
    // The composer that follows recurses, so the depth must be known before it runs.
    if (parser.stack.length > manifestLimits.depth) return tooDeep(parser.offset);
  }
  for (const token of parser.end()) tokens.push(token);
  return tokens;
}

function parseLargeJson(text: string): unknown {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** `failsafe`: scalars are resolved here, by the rules Kubernetes uses; duplicate keys are found here in linear time. */
const composerOptions = {
  schema: 'failsafe',
  resolveKnownTags: false,
  uniqueKeys: false,
  keepSourceTokens: false,
  prettyErrors: false,
  logLevel: 'silent',
} as const;

function tooDeep(offset: number): TreeProblem {
  return { code: 'too-deep', message: `nested deeper than ${manifestLimits.depth} levels`, offset };
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function readDocument(yaml: Yaml, document: Document.Parsed): TreeDocument | undefined {
  const problems: TreeProblem[] = document.errors.slice(0, manifestLimits.problems).map((error) => {
    return { code: 'syntax', message: syntaxMessage(error.code, error.message), offset: error.pos[0] };
  });
  const contents = document.contents as YamlNode | null;
  const offset = contents?.range?.[0] ?? document.range[0];
  if (contents === null || (yaml.isScalar(contents) && contents.source === '' && problems.length === 0)) {
    return problems.length === 0 ? undefined : { offset, tree: undefined, problems };
  }
  const reader = new TreeReader(yaml, problems);
  const tree = reader.read(contents, 0);
  if (problems.length === 0 && tree.kind === 'scalar' && tree.value === null) return undefined;
  return { offset, tree: reader.exhausted ? undefined : tree, problems };
}

function syntaxMessage(code: string, message: string): string {
  if (code === 'TAB_AS_INDENT') return 'a tab is used as indentation; YAML allows spaces only';
  return message;
}

/** Turns one document's nodes into a tree, with aliases and merge keys written out. */
class TreeReader {
  readonly #yaml: Yaml;
  readonly #problems: TreeProblem[];
  readonly #anchors = new Map<string, YamlNode>();
  /** Anchors being read: an alias to one of these would never end. */
  readonly #open = new Set<YamlNode>();
  #values = 0;
  exhausted = false;

  constructor(yaml: Yaml, problems: TreeProblem[]) {
    this.#yaml = yaml;
    this.#problems = problems;
  }

  read(node: YamlNode | null | undefined, depth: number): Tree {
    const offset = node?.range?.[0] ?? 0;
    const nothing: Tree = { kind: 'scalar', value: null, offset };
    if (node == null || this.exhausted) return nothing;
    if (++this.#values > manifestLimits.values) {
      this.exhausted = true;
      this.#report(
        'too-many-values',
        `more than ${manifestLimits.values} values, counting each use of an alias`,
        offset,
      );
      return nothing;
    }
    if (depth > manifestLimits.depth) {
      this.exhausted = true;
      this.#problems.push(tooDeep(offset));
      return nothing;
    }
    if (this.#yaml.isAlias(node)) return this.#readAlias(node.source, offset, depth);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (this.#yaml.isScalar(node)) return { kind: 'scalar', value: this.#readScalar(node, offset), offset };
    this.#open.add(node);
    const tree = this.#readCollection(node, offset, depth);
    this.#open.delete(node);
    return tree;
  }

  #readAlias(name: string, offset: number, depth: number): Tree {
    const target = this.#anchors.get(name);
    if (target !== undefined && !this.#open.has(target)) return { ...this.read(target, depth + 1), offset };
    const reason = target === undefined ? 'there is no such anchor before it' : 'it contains itself';
    this.#report('syntax', `alias *${name}: ${reason}`, offset);
    return { kind: 'scalar', value: null, offset };
  }

  #readCollection(node: YamlNode, offset: number, depth: number): Tree {
    if (this.#yaml.isSeq(node)) {
      return { kind: 'list', items: node.items.map((item) => this.read(item as YamlNode, depth + 1)), offset };
    }
    if (!this.#yaml.isMap(node)) return { kind: 'scalar', value: null, offset };
    const entries: TreeEntry[] = [];
    const merged: TreeEntry[] = [];
    for (const pair of node.items) {
      const key = pair.key as YamlNode | null;
      const value = this.read(pair.value as YamlNode | null, depth + 1);
      if (this.#yaml.isScalar(key)) {
        const entry = { key: this.#keyText(key), keyOffset: key.range?.[0] ?? offset, value };
        if (entry.key === '<<' && key.type === 'PLAIN') merged.push(...this.#mergedEntries(value));
        else entries.push(entry);
      } else {
        this.#report('syntax', 'a key must be a plain text', key?.range?.[0] ?? offset);
      }
    }
    const own = new Set(entries.map((entry) => entry.key));
    for (const entry of merged) {
      if (own.has(entry.key)) continue;
      own.add(entry.key);
      entries.push(entry);
    }
    return { kind: 'map', entries, offset };
  }

  /** What `<<` brings in: the entries of one map or of several, the first of a name wins. */
  #mergedEntries(value: Tree): readonly TreeEntry[] {
    if (value.kind === 'map') return value.entries;
    if (value.kind === 'list' && value.items.every((item) => item.kind === 'map')) {
      return value.items.flatMap((item) => (item.kind === 'map' ? item.entries : []));
    }
    this.#report('syntax', 'a merge key (<<) needs a map or a list of maps', value.offset);
    return [];
  }

  #keyText(key: Scalar): string {
    return key.source ?? String(key.value);
  }

  #readScalar(node: Scalar, offset: number): string | number | boolean | null {
    const text = node.source ?? '';
    switch (node.tag) {
      case undefined:
        return node.type === 'PLAIN' || node.type === undefined ? resolvePlain(text) : text;
      case '!':
      case 'tag:yaml.org,2002:str':
        return text;
      case 'tag:yaml.org,2002:int':
      case 'tag:yaml.org,2002:float':
      case 'tag:yaml.org,2002:bool':
      case 'tag:yaml.org,2002:null':
        return resolvePlain(text);
      default:
        this.#report('syntax', `tag ${node.tag} is not supported`, offset);
        return null;
    }
  }

  #report(code: TreeProblemCode, message: string, offset: number): void {
    if (this.#problems.length < manifestLimits.problems) this.#problems.push({ code, message, offset });
  }
}

const trueWords = new Set(['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON']);
const falseWords = new Set(['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF']);
const nullWords = new Set(['', '~', 'null', 'Null', 'NULL']);
const integer = /^[-+]?(?:0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/;
const float = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;

/** YAML 1.1 as Kubernetes' own parser reads it: `0644` is octal, `yes` is true. */
export function resolvePlain(text: string): string | number | boolean | null {
  if (nullWords.has(text)) return null;
  if (trueWords.has(text)) return true;
  if (falseWords.has(text)) return false;
  if (!/^[-+.\d]/.test(text)) return text;
  const digits = text.replaceAll('_', '');
  if (integer.test(digits)) return parseInteger(digits);
  return float.test(digits) ? Number(digits) : text;
}

function parseInteger(digits: string): number {
  const negative = digits.startsWith('-');
  const magnitude = digits.replace(/^[-+]/, '');
  const octal = /^0[0-7]+$/.test(magnitude) ? `0o${magnitude.slice(1)}` : magnitude;
  return negative ? -Number(octal) : Number(octal);
}

/** The tree of a value that is parsed already; its places are unknown, so every offset is 0. */
export function treeOfValue(value: unknown): { tree: Tree | undefined; problems: TreeProblem[] } {
  const problems: TreeProblem[] = [];
  let values = 0;
  const read = (each: unknown, depth: number): Tree => {
    const nothing: Tree = { kind: 'scalar', value: null, offset: 0 };
    if (problems.length > 0) return nothing;
    if (depth > manifestLimits.depth) problems.push(tooDeep(0));
    if (++values > manifestLimits.values) {
      problems.push({ code: 'too-many-values', message: `more than ${manifestLimits.values} values`, offset: 0 });
    }
    if (Array.isArray(each)) return { kind: 'list', items: each.map((item) => read(item, depth + 1)), offset: 0 };
    if (typeof each === 'object' && each !== null) {
      const entries = Object.entries(each).filter(([, item]) => item !== undefined);
      return {
        kind: 'map',
        entries: entries.map(([key, item]) => ({ key, keyOffset: 0, value: read(item, depth + 1) })),
        offset: 0,
      };
    }
    if (typeof each === 'string' || typeof each === 'number' || typeof each === 'boolean') {
      return { kind: 'scalar', value: each, offset: 0 };
    }
    return nothing;
  };
  const tree = read(value, 0);
  return { tree: problems.length === 0 ? tree : undefined, problems };
}
