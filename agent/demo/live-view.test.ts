import { expect, test } from 'vitest';
import { cut, heightOf } from './live-view.js';

test('no row is wider than the terminal; without one nothing is cut', () => {
  expect(cut('abcdef\nab\n', 4)).toBe('abcd\nab\n');
  expect(cut('abcdef', 0)).toBe('abcdef');
});

test.each([
  ['a\n\nb\n', 80, 3],
  ['abcdefgh\na\n', 4, 3],
  ['abcdefghi\n', 4, 3],
  ['abcdefghi\n', 0, 1],
])('%j takes in %i columns %i rows', (text, columns, rows) => expect(heightOf(text, columns)).toBe(rows));
