import { expect, test } from 'vitest';
import { curveIds, curveList } from './curves.js';

test.each([
  [undefined, undefined],
  [[], undefined],
  [[23, 29], 'X25519:P-256'],
  [[25, 4588], 'P-521'],
])('%j is %s', (value, list) => {
  expect(curveList(curveIds(value))).toBe(list);
});

test('what leaves nothing to offer is refused', () => {
  for (const value of [[4588], 'P-256', [true]]) expect(() => curveIds(value)).toThrow('known are 23, 24, 25, 29');
});
