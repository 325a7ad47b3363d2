import { expect, test } from 'vitest';
import { chooseRuntime, runtimeSocket } from './choose-runtime.js';

const has =
  (...paths: string[]) =>
  (path: string): boolean =>
    paths.includes(path);
const oci = ['/usr/bin/crun', '/usr/sbin/runc'];

test.each<[string, string[], object]>([
  ['embedded', [], { kind: 'embedded' }],
  ['docker', [], { kind: 'docker', socketPath: '/var/run/docker.sock' }],
  ['docker:///tmp/d.sock', [], { kind: 'docker', socketPath: '/tmp/d.sock' }],
  ['unix:///run/x.sock', [], { kind: 'remote', endpoint: 'unix:///run/x.sock' }],
  [
    'auto',
    ['/usr/sbin/runc', '/usr/bin/conmon', '/run/containerd/containerd.sock'],
    { kind: 'embedded', reason: 'conmon and /usr/sbin/runc are installed' },
  ],
  [
    'auto',
    ['/usr/bin/crun', '/run/containerd/containerd.sock'],
    { kind: 'remote', endpoint: 'unix:///run/containerd/containerd.sock' },
  ],
  ['auto', ['/run/crio/crio.sock', '/var/run/docker.sock'], { kind: 'remote', endpoint: 'unix:///run/crio/crio.sock' }],
  ['auto', ['/var/run/docker.sock'], { kind: 'docker' }],
])('%s on a machine with %j', (endpoint, paths, expected) => {
  expect(chooseRuntime(endpoint, oci, has(...paths))).toMatchObject(expected);
});

test('a machine without any runtime, and a word that is none, are told so', () => {
  expect(() => chooseRuntime('auto', oci, has())).toThrow(/berth check/);
  expect(() => chooseRuntime('podman', oci, has())).toThrow(/it is none of embedded, docker/);
});

test.each([
  ['embedded', [], undefined],
  ['docker', [], '/var/run/docker.sock'],
  ['docker:///x/docker.sock', [], '/x/docker.sock'],
  ['unix:///run/x.sock', [], '/run/x.sock'],
  ['auto', ['/run/crio/crio.sock'], '/run/crio/crio.sock'],
  ['auto', [], undefined],
])('the socket of %s with %j is %s', (endpoint, paths, expected) => {
  expect(runtimeSocket(endpoint, oci, has(...paths))).toBe(expected);
});
