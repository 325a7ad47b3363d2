import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseReference, referenceText, tryParseReference } from './reference.js';

const digest = `sha256:${'a'.repeat(64)}`;

describe('parseReference', () => {
  test.each([
    ['busybox', 'docker.io/library/busybox:latest'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36'],
    ['team/box', 'docker.io/team/box:latest'],
    ['docker.io/busybox', 'docker.io/library/busybox:latest'],
    ['index.docker.io/library/busybox', 'docker.io/library/busybox:latest'],
    ['docker.io/library/busybox:latest', 'docker.io/library/busybox:latest'],
    ['localhost/x:1', 'localhost/x:1'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    [`localhost:5000/x@${digest}`, `localhost:5000/x@${digest}`],
    [`localhost:5000/x:1@${digest}`, `localhost:5000/x@${digest}`],
    [`busybox@${digest}`, `docker.io/library/busybox@${digest}`],
    ['127.0.0.1:5000/a/b/c:v1.2-rc_3', '127.0.0.1:5000/a/b/c:v1.2-rc_3'],
    ['[::1]:5000/x:1', '[::1]:5000/x:1'],
    ['registry.example.com/a__b/c-d.e', 'registry.example.com/a__b/c-d.e:latest'],
    ['HOST/x', 'HOST/x:latest'],
  ])('%s is %s', (text, full) => {
    expect(referenceText(parseReference(text))).toBe(full);
    expect(referenceText(parseReference(full))).toBe(full);
  });

  test.each([
    '',
    ' ',
    'Busybox',
    'team/Box',
    'box:',
    'box:-x',
    `box:${'x'.repeat(129)}`,
    'box@',
    'box@sha256:abc',
    'box@md5:d41d8cd98f00b204e9800998ecf8427e',
    '/box',
    'box/',
    'a//b',
    '../box',
    'a b',
    'box:1:2',
    'http://example.com/box',
    'a'.repeat(64),
    `example.com/${'a/'.repeat(200)}b`,
    '-box',
    'a..b',
    'box;rm',
    '--flag',
  ])('%j is refused', (text) => {
    expect(tryParseReference(text)).toBeUndefined();
    expect(() => parseReference(text)).toThrow('not a valid reference');
  });

  test('never yields something a program could take for an option or a path out', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (text) => {
        const reference = tryParseReference(text);
        if (reference === undefined) return;
        const full = referenceText(reference);
        expect(full).toMatch(/^[A-Za-z0-9[]/);
        expect(full).not.toMatch(/\s|\.\.\//);
        expect(referenceText(parseReference(full))).toBe(full);
      }),
      { numRuns: 2000 },
    );
  });
});
