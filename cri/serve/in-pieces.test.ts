import { expect, test } from 'vitest';
import { inPieces } from './in-pieces.js';

const lengths = (items: readonly unknown[]): number[] => [...inPieces(items)].map((piece) => piece.length);

test('no message without an item, none too long, each item once and in order', () => {
  expect(lengths([])).toEqual([]);
  expect(lengths(Array.from({ length: 250 }, (_, index) => index))).toEqual([100, 100, 50]);
  const large = Array.from({ length: 5 }, () => ({ annotations: { filler: 'x'.repeat(1_500_000) } }));
  expect(lengths(large)).toEqual([2, 2, 1]);
  expect(lengths([{ filler: 'x'.repeat(5_000_000) }, {}])).toEqual([1, 1]);
  expect([...inPieces([1, 2, 3])].flat()).toEqual([1, 2, 3]);
});
