import { describe, expect, test } from 'vitest';
import { readLegacyConfig } from './docker-config.js';
import { fullName, matchesImage, repositoryOf, withoutTag } from './image-match.js';
import { Keyring } from './keyring.js';

describe('names', () => {
  test.each([
    ['busybox', 'docker.io/library/busybox', 'busybox', 'docker.io/library/busybox:latest'],
    ['team/app:1', 'docker.io/team/app', 'team/app', 'docker.io/team/app:1'],
    ['index.docker.io/team/app:1', 'docker.io/team/app', 'index.docker.io/team/app', 'docker.io/team/app:1'],
    ['localhost:5000/app', 'localhost:5000/app', 'localhost:5000/app', 'localhost:5000/app:latest'],
    ['r.example/a/b:1@sha256:abc', 'r.example/a/b', 'r.example/a/b', 'r.example/a/b:1@sha256:abc'],
  ])('%s', (image, repository, bare, full) => {
    expect([repositoryOf(image), withoutTag(image), fullName(image)]).toEqual([repository, bare, full]);
  });
});

test.each([
  ['*.example.com', 'eu.example.com/app', true],
  ['*.example.com', 'example.com/app', false],
  ['*.example.com', 'a.b.example.com/app', false],
  ['r?.example.com', 'r1.example.com/app', true],
  ['r[0-4].example.com', 'r5.example.com/app', false],
  ['r.example.com/team', 'r.example.com/team/app', true],
  ['r.example.com/team', 'r.example.com/other/app', false],
  ['r.example.com', 'r.example.com:5000/app', false],
  ['r.example.com:5000', 'r.example.com:5000/app', true],
  ['*', 'localhost/app', true],
  ['r.example.com', 'rxexample.com/app', false],
  ['[', 'r/app', false],
])('%s matches %s: %s', (pattern, repository, expected) => {
  expect(matchesImage(pattern, repository)).toBe(expected);
});

describe('lookup', () => {
  const entries = [
    'registry.example.com',
    'registry.example.com/team',
    '*.gcr.example.com',
    'localhost:5000',
    'docker.io',
  ];
  const keyring = new Keyring();
  keyring.add(
    readLegacyConfig(JSON.stringify(Object.fromEntries(entries.map((entry) => [entry, { username: entry }])))),
    { kind: 'node' },
  );
  test.each([
    ['registry.example.com/team/app', ['registry.example.com/team', 'registry.example.com']],
    ['registry.example.com/other/app', ['registry.example.com']],
    ['eu.gcr.example.com/app', ['*.gcr.example.com']],
    ['localhost:5000/app', ['localhost:5000']],
    ['localhost:5001/app', []],
    ['docker.io/library/busybox', ['docker.io']],
  ])('%s may use %j, the most specific first', (repository, expected) => {
    expect(keyring.lookup(repository).map(({ auth }) => auth.username)).toEqual(expected);
  });

  test("docker's own key is for its own registry only, and only when nothing else fits", () => {
    const hub = new Keyring();
    hub.add(readLegacyConfig('{"https://index.docker.io/v1/":{"username":"hub"}}'), { kind: 'node' });
    expect(hub.lookup('docker.io/library/busybox').map(({ auth }) => auth.username)).toEqual(['hub']);
    expect(hub.lookup('quay.io/library/busybox')).toEqual([]);
  });

  test('of one pattern all are tried, in the order they were given', () => {
    const two = new Keyring();
    for (const name of ['old', 'new'])
      two.add(readLegacyConfig(`{"r.example":{"username":"${name}"}}`), {
        kind: 'secret',
        uid: name,
        namespace: 'n',
        name,
      });
    expect(two.lookup('r.example/app').map(({ source }) => source.kind === 'secret' && source.name)).toEqual([
      'old',
      'new',
    ]);
  });
});
