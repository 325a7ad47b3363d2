import { expect, test } from 'vitest';
import { holders } from './images.js';

test('an image tells why it stays: its pin and its pods, else what garbage collection says', () => {
  const young = { text: 'came less than the minimum age ago, may go in 30 s' };
  expect(holders(true, new Set(['default/b', 'default/a']), young)).toEqual([
    'pinned',
    'used by default/a',
    'used by default/b',
  ]);
  expect(holders(false, undefined, young)).toEqual([young.text]);
  expect(holders(false)).toEqual([]);
});
