import { describe, expect, test } from 'vitest';
import { buildMounts, rootfsPropagation, type MountContext, type ResolvedMount } from './mounts.js';

const context: MountContext = {
  privileged: false,
  shmPath: '/run/shm',
  hostnamePath: '/run/hostname',
  resolvConfPath: '/run/resolv.conf',
  hostsPath: '/run/hosts',
  readonlyRootfs: false,
  imageVolumes: [],
};
const mount = (containerPath: string, more: Partial<ResolvedMount> = {}): ResolvedMount => ({
  containerPath,
  hostPath: `/host${containerPath}`,
  readonly: false,
  recursiveReadOnly: false,
  propagation: 'PROPAGATION_PRIVATE',
  mapped: false,
  ...more,
});
const built = (asked: ResolvedMount[], more: Partial<MountContext> = {}): Map<string, readonly string[] | undefined> =>
  new Map(buildMounts(asked, { ...context, ...more }).map((one) => [one.destination, one.options]));

describe('buildMounts', () => {
  test('the defaults, in an order in which none hides another', () => {
    expect([...built([]).keys()]).toEqual([
      '/proc',
      '/dev',
      '/dev/pts',
      '/dev/mqueue',
      '/sys',
      '/sys/fs/cgroup',
      '/dev/shm',
      '/etc/hostname',
      '/etc/resolv.conf',
      '/etc/hosts',
    ]);
    expect(built([]).get('/sys/fs/cgroup')).toContain('ro');
    expect(built([], { privileged: true }).get('/sys/fs/cgroup')).toContain('rw');
  });

  test('a requested mount takes the place of a default', () => {
    const mounts = buildMounts([mount('/etc/hosts'), mount('/dev/shm/')], context);
    expect(mounts.filter((one) => one.destination === '/etc/hosts').map((one) => one.source)).toEqual([
      '/host/etc/hosts',
    ]);
    expect(mounts.some((one) => one.source === '/run/shm')).toBe(false);
  });

  test('parents come before what lies in them, equals keep their order', () => {
    const paths = [...built([mount('/a/b/c'), mount('/z'), mount('/a'), mount('/a/b')]).keys()].slice(10);
    expect(paths).toEqual(['/z', '/a', '/a/b', '/a/b/c']);
  });

  test.each<[string, Partial<ResolvedMount>, string[]]>([
    ['read-write', {}, ['rbind', 'rprivate', 'rw']],
    ['read-only', { readonly: true }, ['rbind', 'rprivate', 'ro']],
    ['read-only all the way down', { readonly: true, recursiveReadOnly: true }, ['rbind', 'rprivate', 'ro', 'rro']],
    ['slave', { propagation: 'PROPAGATION_HOST_TO_CONTAINER' }, ['rbind', 'rslave', 'rw']],
    ['shared', { propagation: 'PROPAGATION_BIDIRECTIONAL' }, ['rbind', 'rshared', 'rw']],
    ['with ids mapped', { mapped: true }, ['rbind', 'rprivate', 'rw', 'idmap']],
  ])('options: %s', (_name, more, options) => {
    expect(built([mount('/m', more)]).get('/m')).toEqual(options);
  });

  test('pod files are read-only on a read-only root; a volume of the image yields to a mount', () => {
    expect(built([], { readonlyRootfs: true }).get('/etc/hosts')).toEqual(['rbind', 'rprivate', 'ro']);
    const imageVolumes = [{ containerPath: '/data', hostPath: '/v0' }];
    expect(buildMounts([mount('/data/')], { ...context, imageVolumes }).some((one) => one.source === '/v0')).toBe(
      false,
    );
    expect(buildMounts([], { ...context, imageVolumes }).some((one) => one.source === '/v0')).toBe(true);
  });
});

test('rootfsPropagation is the strongest that is needed', () => {
  const slave = mount('/a', { propagation: 'PROPAGATION_HOST_TO_CONTAINER' });
  const shared = mount('/b', { propagation: 'PROPAGATION_BIDIRECTIONAL' });
  expect([rootfsPropagation([mount('/c')]), rootfsPropagation([slave]), rootfsPropagation([slave, shared])]).toEqual([
    undefined,
    'rslave',
    'rshared',
  ]);
});
