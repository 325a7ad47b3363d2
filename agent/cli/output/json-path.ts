import { usage } from '../client/client-error.js';

/**
 * The part of kubectl's JSONPath that people type: `{.status.podIP}`, `{.items[*].metadata.name}`, `['a.b']`, `[0]`, `[-1]`, `[0:2]`,
 * `{..name}`, `[?(@.type=="Ready")]`, texts `{"\n"}`, and `{range .items[*]}...{end}`.
 */
export function renderJsonPath(template: string, root: unknown): string {
  const pieces = lex(template.includes('{') ? template : `{${relaxed(template)}}`);
  return renderPieces(pieces, root);
}

/** All values at a path such as `.metadata.name`; the dot in front may be left out. */
export function valuesAt(path: string, root: unknown): unknown[] {
  return select(relaxed(path.replace(/^\{(.*)\}$/s, '$1')), root);
}

export const showValue = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

const relaxed = (path: string): string => (/^[.[$@]/.test(path) ? path : `.${path}`);

type Piece = { readonly text: string } | { readonly expression: string };

/** Braces within quotes belong to the text. */
function lex(template: string): Piece[] {
  const pieces: Piece[] = [];
  const pattern = /([^{]+)|\{((?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^}"'])*)\}/gy;
  while (pattern.lastIndex < template.length) {
    const from = pattern.lastIndex;
    const match = pattern.exec(template);
    if (!match) throw usage(`read the jsonpath: the { at ${template.slice(from, from + 30)} has no }`);
    const [, text, expression] = match;
    pieces.push(text === undefined ? { expression: (expression ?? '').trim() } : { text });
  }
  return pieces;
}

function renderPieces(pieces: readonly Piece[], value: unknown): string {
  let out = '';
  for (let at = 0; at < pieces.length; at++) {
    const piece = pieces[at] as Piece;
    if ('text' in piece) out += piece.text;
    else if (piece.expression.startsWith('range ')) {
      const end = matchingEnd(pieces, at);
      const body = pieces.slice(at + 1, end);
      for (const each of select(piece.expression.slice('range '.length).trim(), value)) out += renderPieces(body, each);
      at = end;
    } else if (/^(["']).*\1$/s.test(piece.expression)) out += unquote(piece.expression);
    else out += select(piece.expression, value).map(showValue).join(' ');
  }
  return out;
}

function matchingEnd(pieces: readonly Piece[], start: number): number {
  let depth = 0;
  for (let at = start; at < pieces.length; at++) {
    const piece = pieces[at] as Piece;
    if (!('expression' in piece)) continue;
    if (piece.expression.startsWith('range ')) depth++;
    if (piece.expression === 'end' && --depth === 0) return at;
  }
  throw usage('read the jsonpath: {range} has no {end}');
}

const unquote = (text: string): string =>
  text.slice(1, -1).replaceAll(/\\(n|t|\\|"|')/g, (_all, letter: string) => ({ n: '\n', t: '\t' })[letter] ?? letter);

const stepPattern =
  /\['([^']*)'\]|\["([^"]*)"\]|\[\?\(((?:"[^"]*"|'[^']*'|[^)"'])*)\)\]|\[(\*|-?\d*:-?\d*|-?\d+)\]|(\.\.?)((?:\\.|[^.[\]])*)/gy;

function select(expression: string, root: unknown): unknown[] {
  let found: unknown[] = [root];
  const path = expression.replace(/^[$@]/, '');
  // A copy: filters come back here in the middle of a path.
  const step = new RegExp(stepPattern);
  while (step.lastIndex < path.length) {
    const match = step.exec(path);
    if (!match)
      throw usage(`read the jsonpath: {${expression}} is not understood; paths like {.items[*].metadata.name} are`);
    const [, single, double, filter, index, dots, name] = match;
    const key = single ?? double ?? name?.replaceAll(/\\(.)/g, '$1');
    if (filter !== undefined) found = found.flatMap(elements).filter(condition(filter));
    else if (dots === '..') found = found.flatMap(descendants).flatMap((value) => field(value, key ?? ''));
    else if (key !== undefined) found = key === '' ? found : found.flatMap((value) => field(value, key));
    else found = found.flatMap((value) => at(value, index ?? ''));
  }
  return found;
}

/** `@.type=="Ready"`, `@.n>3`, `@.name`. */
function condition(text: string): (value: unknown) => boolean {
  const compared = /^\s*(@[^=!<>]*?)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*$/.exec(text);
  if (!compared) {
    if (!text.trim().startsWith('@')) throw usage(`read the jsonpath: the filter ?(${text}) must begin with @`);
    return (value) => select(text.trim(), value).length > 0;
  }
  const [, path = '', operator, literal = ''] = compared;
  const wanted: unknown = /^(["']).*\1$/s.test(literal) ? unquote(literal) : jsonOr(literal);
  return (value) => select(path, value).some((own) => compare(own, operator ?? '', wanted));
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function compare(own: unknown, operator: string, wanted: unknown): boolean {
  if (operator === '==') return own === wanted;
  if (operator === '!=') return own !== wanted;
  const order = typeof own === 'number' && typeof wanted === 'number' ? own - wanted : Number.NaN;
  return { '<': order < 0, '>': order > 0, '<=': order <= 0, '>=': order >= 0 }[operator] ?? false;
}

const elements = (value: unknown): unknown[] =>
  typeof value === 'object' && value !== null ? (Object.values(value) as unknown[]) : [];

const descendants = (value: unknown): unknown[] => [value, ...elements(value).flatMap(descendants)];

function field(value: unknown, key: string): unknown[] {
  if (key === '*') return elements(value);
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return [];
  return [(value as Record<string, unknown>)[key]];
}

function at(value: unknown, index: string): unknown[] {
  if (index === '*') return elements(value);
  if (!Array.isArray(value)) return [];
  if (index.includes(':')) {
    const [from = '', to = ''] = index.split(':');
    return value.slice(Number(from), to === '' ? undefined : Number(to));
  }
  const item: unknown = value.at(Number(index));
  return item === undefined ? [] : [item];
}
