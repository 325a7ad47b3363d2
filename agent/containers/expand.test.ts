import { expect, test } from 'vitest';
import { expand } from './expand.js';

const values: Record<string, string> = { A: 'one', B: '$(A)', EMPTY: '' };

test.each([
  ['$(A)', 'one'],
  ['x-$(A)-$(A)-y', 'x-one-one-y'],
  ['$(UNKNOWN)', '$(UNKNOWN)'],
  ['$$(A)', '$(A)'],
  ['$$$(A)', '$one'],
  ['$$', '$'],
  ['$', '$'],
  ['$(', '$('],
  ['$(A', '$(A'],
  ['$(B)', '$(A)'],
  ['[$(EMPTY)]', '[]'],
  ['$A ${A}', '$A ${A}'],
])('%s becomes %s', (text, expected) => {
  expect(expand(text, (name) => values[name])).toBe(expected);
});
