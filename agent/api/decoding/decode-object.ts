import { canonicalQuantity, parseQuantity, quantityRule } from '../quantity.js';
import { fieldPath, type ProblemCode } from '../problem.js';
import { fieldCode, type ObjectFields, type Schema, type TypeCode } from './schema.js';
import { suggest } from '../suggest.js';
import type { Tree, TreeEntry } from './yaml-tree.js';

export interface DecodeProblem {
  readonly code: ProblemCode;
  readonly path: string;
  readonly offset: number;
  readonly message: string;
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const time = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

const expectations: Readonly<Record<string, string>> = {
  s: 'a text',
  b: 'true or false',
  i: 'a whole number',
  l: 'a whole number',
  d: 'a number',
  y: 'a base64 text',
  t: 'a time such as 2006-01-02T15:04:05Z',
  q: 'a quantity such as 500m or 64Mi',
  x: 'a whole number or a text',
};

/**
 * Turns a tree into the value its type describes and reports everything that does not fit. Values are never quoted in
 * messages except where they are words of the API: a manifest may hold secrets.
 */
export class ObjectDecoder {
  readonly #schema: Schema;
  readonly problems: DecodeProblem[] = [];

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  /** Undefined for null, which means "not set" everywhere in Kubernetes, and for what does not fit. */
  decode(code: TypeCode, tree: Tree, path: string): unknown {
    if (tree.kind === 'scalar' && tree.value === null) return undefined;
    switch (code[0]) {
      case '@':
        return this.#decodeObject(code.slice(1), tree, path);
      case '[':
        return this.#decodeList(code.slice(1), tree, path);
      case '{':
        return this.#decodeMap(code.slice(1), tree, path);
      case '=':
        return this.#decodeWord(code.slice(1).split('|'), tree, path);
      case 'a':
        return plainValue(tree);
      default:
        return this.#decodeAtom(code, tree, path);
    }
  }

  report(code: ProblemCode, path: string, offset: number, message: string): undefined {
    this.problems.push({ code, path, offset, message });
    return undefined;
  }

  #decodeObject(name: string, tree: Tree, path: string): unknown {
    if (tree.kind !== 'map') return this.#wrongType('an object (fields with values)', tree, path);
    const fields = this.#schema.types[name] ?? {};
    const present = new Set<string>();
    const result: Array<[string, unknown]> = [];
    for (const entry of this.#uniqueEntries(tree.entries, path)) {
      const at = fieldPath(path, entry.key);
      const code = fieldCode(fields, entry.key);
      if (code === undefined) {
        this.report('unknown-field', at, entry.keyOffset, unknownField(entry.key, fields));
        continue;
      }
      present.add(entry.key);
      const value = this.decode(code.replace('!', ''), entry.value, at);
      if (value === undefined && entry.value.kind === 'scalar' && entry.value.value === null) present.delete(entry.key);
      if (value !== undefined) result.push([entry.key, value]);
    }
    for (const [field, code] of Object.entries(fields)) {
      if (code.startsWith('!') && !present.has(field)) {
        this.report('missing', fieldPath(path, field), tree.offset, 'is missing; it must be set');
      }
    }
    return Object.fromEntries(result);
  }

  #decodeList(itemCode: TypeCode, tree: Tree, path: string): unknown {
    if (tree.kind !== 'list') return this.#wrongType('a list', tree, path);
    return tree.items.map((item, index) => {
      const at = `${path}[${index}]`;
      if (item.kind === 'scalar' && item.value === null) return this.report('wrong-type', at, item.offset, 'is empty');
      return this.decode(itemCode, item, at);
    });
  }

  #decodeMap(valueCode: TypeCode, tree: Tree, path: string): unknown {
    if (tree.kind !== 'map') return this.#wrongType('an object (names with values)', tree, path);
    const entries = this.#uniqueEntries(tree.entries, path).map(({ key, value }): [string, unknown] => {
      // A map of texts keeps `key:` as an empty text, as the API server does.
      if (valueCode === 's' && value.kind === 'scalar' && value.value === null) return [key, ''];
      return [key, this.decode(valueCode, value, fieldPath(path, key))];
    });
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }

  #uniqueEntries(entries: readonly TreeEntry[], path: string): readonly TreeEntry[] {
    const seen = new Set<string>();
    return entries.filter(({ key, keyOffset }) => {
      if (seen.has(key)) this.report('duplicate-key', fieldPath(path, key), keyOffset, 'is given twice');
      else return seen.add(key);
      return false;
    });
  }

  #decodeWord(words: readonly string[], tree: Tree, path: string): unknown {
    if (tree.kind !== 'scalar' || typeof tree.value !== 'string') return this.#wrongType('a text', tree, path);
    if (words.includes(tree.value)) return tree.value;
    // An empty text is how the API writes "not set".
    if (tree.value === '') return undefined;
    const shown = tree.value.length > 64 ? `${tree.value.slice(0, 61)}...` : tree.value;
    const choices = words.filter((word) => word !== '').map((word) => `"${word}"`);
    return this.report(
      'invalid',
      path,
      tree.offset,
      `Unsupported value: ${JSON.stringify(shown)}: supported values: ${choices.join(', ')}`,
    );
  }

  #decodeAtom(code: TypeCode, tree: Tree, path: string): unknown {
    const expected = expectations[code] ?? code;
    if (tree.kind !== 'scalar') return this.#wrongType(expected, tree, path);
    const { value } = tree;
    switch (code) {
      case 's':
        return typeof value === 'string' ? value : this.#wrongType(expected, tree, path);
      case 'b':
        return typeof value === 'boolean' ? value : this.#wrongType(expected, tree, path);
      case 'd':
        return typeof value === 'number' ? value : this.#wrongType(expected, tree, path);
      case 'i':
      case 'l':
        return typeof value === 'number'
          ? this.#integer(value, code, tree, path)
          : this.#wrongType(expected, tree, path);
      case 'x':
        if (typeof value === 'string') return value;
        return typeof value === 'number'
          ? this.#integer(value, 'i', tree, path)
          : this.#wrongType(expected, tree, path);
      case 'q':
        return this.#quantity(tree, path);
      case 'y':
        if (typeof value !== 'string') return this.#wrongType(expected, tree, path);
        return base64.test(value.replaceAll(/[\r\n]/g, ''))
          ? value.replaceAll(/[\r\n]/g, '')
          : this.report(
              'invalid',
              path,
              tree.offset,
              'is not base64; plain text belongs in stringData (Secret) or data (ConfigMap)',
            );
      default:
        if (typeof value !== 'string') return this.#wrongType(expected, tree, path);
        return time.test(value) ? value : this.report('invalid', path, tree.offset, `is not ${expected}`);
    }
  }

  #integer(value: number, code: string, tree: Tree, path: string): unknown {
    if (!Number.isInteger(value)) return this.#wrongType('a whole number', tree, path);
    const fits = code === 'i' ? value >= -(2 ** 31) && value < 2 ** 31 : Number.isSafeInteger(value);
    return fits
      ? value
      : this.report('invalid', path, tree.offset, `the number does not fit into ${code === 'i' ? 32 : 53} bits`);
  }

  #quantity(tree: Tree & { kind: 'scalar' }, path: string): unknown {
    const { value } = tree;
    if (typeof value !== 'string' && typeof value !== 'number')
      return this.#wrongType(expectations['q'] ?? '', tree, path);
    if (parseQuantity(value) !== undefined) return canonicalQuantity(value);
    const shown = String(value).slice(0, 64);
    const suffix = /^[\d.]+\s*(ki?b|mi?b|gi?b|k|mi|gi|ti)$/i.exec(shown);
    const hint = suffix === null ? '' : '; sizes are written like 64Ki, 64Mi, 64Gi or 64k, 64M, 64G';
    return this.report('invalid', path, tree.offset, `${JSON.stringify(shown)}: ${quantityRule}${hint}`);
  }

  #wrongType(expected: string, tree: Tree, path: string): undefined {
    const found = describe(tree);
    const quote = expected === 'a text' && tree.kind === 'scalar' ? '; put it in quotes' : '';
    return this.report('wrong-type', path, tree.offset, `expected ${expected}, found ${found}${quote}`);
  }
}

function unknownField(key: string, fields: ObjectFields): string {
  const near = suggest(key, Object.keys(fields));
  return near === undefined ? 'unknown field' : `unknown field; did you mean "${near}"?`;
}

function describe(tree: Tree): string {
  switch (tree.kind) {
    case 'list':
      return 'a list';
    case 'map':
      return 'an object';
    case 'scalar':
      if (typeof tree.value === 'boolean') return `the boolean ${tree.value}`;
      return typeof tree.value === 'number' ? 'a number' : 'a text';
  }
}

/** The tree as a plain value, for fields that may hold anything. */
function plainValue(tree: Tree): unknown {
  switch (tree.kind) {
    case 'scalar':
      return tree.value;
    case 'list':
      return tree.items.map(plainValue);
    case 'map':
      return Object.fromEntries(tree.entries.map(({ key, value }): [string, unknown] => [key, plainValue(value)]));
  }
}
