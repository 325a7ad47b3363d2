import { expect, test } from 'vitest';
import { holders, isNameBesideOthers } from './images.js';

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

test.each<[string, string[], boolean]>([
  ['localhost/a:1', ['localhost/a:1'], false],
  ['localhost/a:1', ['localhost/a:1', 'localhost/b:1'], true],
  ['busybox:1', ['docker.io/library/busybox:1', 'localhost/b:1'], true],
  ['localhost/a', ['localhost/a:latest', 'localhost/b:1'], true],
  ['sha256:0123', ['localhost/a:1', 'localhost/b:1'], false],
])('%s of %j is one name of several: %s', (reference, tags, expected) =>
  expect(isNameBesideOthers(reference, tags)).toBe(expected),
);
