import { usage } from '../client/client-error.js';

/**
 * The part of kubectl's JSONPath that people type: `{.status.podIP}`, `{.items[*].metadata.name}`, `['a.b']`, `[0]`, `[-1]`, texts
 * `{"\n"}`, and `{range .items[*]}...{end}`.
 */
export function renderJsonPath(template: string, root: unknown): string {
  const pieces = lex(template.includes('{') ? template : `{${template.startsWith('.') ? '' : '.'}${template}}`);
  return renderPieces(pieces, root);
}

type Piece = { readonly text: string } | { readonly expression: string };

function lex(template: string): Piece[] {
  const pieces: Piece[] = [];
  for (const [, text, expression] of template.matchAll(/([^{]+)|\{([^}]*)\}/g))
    pieces.push(text === undefined ? { expression: (expression ?? '').trim() } : { text });
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
      for (const each of select(piece.expression.slice('range '.length), value)) out += renderPieces(body, each);
      at = end;
    } else if (/^(["']).*\1$/s.test(piece.expression)) out += unquote(piece.expression);
    else out += select(piece.expression, value).map(show).join(' ');
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

function select(expression: string, root: unknown): unknown[] {
  let found: unknown[] = [root];
  const steps = [
    ...expression.replace(/^[$@]/, '').matchAll(/\['([^']*)'\]|\["([^"]*)"\]|\[(\*|-?\d+)\]|\.((?:\\.|[^.[\]])*)/g),
  ];
  if (steps.map(([all]) => all).join('') !== expression.replace(/^[$@]/, ''))
    throw usage(`read the jsonpath: {${expression}} is not understood; paths like {.items[*].metadata.name} are`);
  for (const [, single, double, index, name] of steps) {
    const key = single ?? double ?? name?.replaceAll(/\\(.)/g, '$1');
    if (key === '') continue;
    found = found.flatMap((value) => (key === undefined ? at(value, index ?? '') : field(value, key)));
  }
  return found;
}

function field(value: unknown, key: string): unknown[] {
  if (key === '*') return typeof value === 'object' && value !== null ? Object.values(value) : [];
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return [];
  return [(value as Record<string, unknown>)[key]];
}

function at(value: unknown, index: string): unknown[] {
  if (index === '*') return typeof value === 'object' && value !== null ? Object.values(value) : [];
  if (!Array.isArray(value)) return [];
  const item: unknown = value.at(Number(index));
  return item === undefined ? [] : [item];
}

const show = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
