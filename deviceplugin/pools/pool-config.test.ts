import { expect, test } from 'vitest';
import { checkPools } from './pool-config.js';
import { nameMatcher } from './path-pattern.js';

test('a good pool passes', () => {
  checkPools([
    { resource: 'example.com/serial', paths: ['/dev/ttyUSB*', '/dev/serial/by-id/*'] },
    { resource: 'example.com/fuse', paths: ['/dev/fuse'], permissions: 'rwm', share: 20 },
  ]);
});

test('every problem is listed with its path', () => {
  expect(() =>
    checkPools([
      { resource: 'serial', paths: ['dev/x', '/dev/../etc'] },
      { resource: 'example.com/a', paths: [], permissions: 'rx', share: 0 },
      { resource: 'example.com/a', paths: ['/dev/a#1'] },
    ]),
  ).toThrow(
    /devicePools\[0\]\.resource.*devicePools\[0\]\.paths\[0\].*paths\[1\].*devicePools\[1\]\.paths: .*devicePools\[1\]\.permissions.*devicePools\[1\]\.share.*devicePools\[2\]\.resource.*offered twice.*devicePools\[2\]\.paths\[0\]/s,
  );
});

test.each([
  ['ttyUSB*', 'ttyUSB0', true],
  ['ttyUSB*', 'ttyUSB', true],
  ['ttyUSB*', 'attyUSB0', false],
  ['tty[A-Z]?', 'ttyS0', true],
  ['tty[!S]0', 'ttyS0', false],
  ['*', '.hidden', false],
  ['.h*', '.hidden', true],
  ['a.b', 'axb', false],
  ['a[b', 'a[b', true],
])('%s and %s: %s', (pattern, name, matches) => {
  expect(nameMatcher(pattern).test(name)).toBe(matches);
});
