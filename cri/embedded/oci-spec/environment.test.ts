import { describe, expect, test } from 'vitest';
import { buildCommand, buildEnvironment } from './environment.js';

describe('buildEnvironment', () => {
  const build = (image: string[], requested: [string, string][], tty = false): string[] =>
    buildEnvironment({
      image,
      requested: requested.map(([key, value]) => ({ key, value })),
      hostname: 'h',
      home: '/root',
      tty,
    });
  test('defaults', () => {
    expect(build([], [])).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=h',
      'HOME=/root',
    ]);
    expect(build([], [], true)).toContain('TERM=xterm');
  });
  test('the request wins over the image, the last of a name wins, equal signs stay', () => {
    const env = build(
      ['PATH=/bin', 'A=image', 'odd'],
      [
        ['A', 'one'],
        ['A', 'two'],
        ['B', 'x=y'],
        ['HOME', '/h'],
      ],
    );
    expect(env).toEqual(['PATH=/bin', 'HOSTNAME=h', 'A=two', 'B=x=y', 'HOME=/h']);
  });
});

test.each([
  ['image alone', [], [], ['/e', 'c']],
  ['args replace cmd', [], ['a'], ['/e', 'a']],
  ['command drops cmd', ['/x'], [], ['/x']],
  ['both', ['/x'], ['a'], ['/x', 'a']],
])('buildCommand: %s', (_name, command, args, expected) => {
  expect(buildCommand({ command, args }, { entrypoint: ['/e'], cmd: ['c'] })).toEqual({ ok: true, args: expected });
});

test('buildCommand: nothing to run', () => {
  expect(buildCommand({ command: [], args: [] }, { entrypoint: [], cmd: [] })).toEqual({ ok: false });
});
