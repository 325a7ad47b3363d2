import { expect, test } from 'vitest';
import { matchesNodeSelector, type PersistentVolume, type PersistentVolumeClaim, type Pod } from '../api/index.js';
import { matchVolume } from './claims/match-volume.js';
import { Batches } from './mounts/batches.js';
import { escapePath, mountsBelow } from './mounts/mount-table.js';
import { nestedMountPoints } from './nested-mount-points.js';
import { kernelKeepsTmpfsOutOfSwap } from './open-volume-manager.js';
import { groupMode } from './ownership.js';
import { tmpfsFor } from './plugins/empty-dir.js';
import { commonUser, downwardKey, wantedVolumes } from './wanted-volumes.js';

test.each([
  [0o644, false, false, 0o664],
  [0o600, false, false, 0o660],
  [0o755, true, false, 0o2775],
  [0o700, true, false, 0o2770],
  [0o600, false, true, 0o640],
  [0o700, true, true, 0o2750],
  [0o4755, false, false, 0o4775],
])('mode %o of a folder (%s), read-only (%s), becomes %o for its group', (mode, isFolder, readOnly, expected) => {
  expect(groupMode(mode, isFolder, readOnly)).toBe(expected);
});

const podWith = (spec: Partial<NonNullable<Pod['spec']>>): Pod => ({
  metadata: { uid: 'u' },
  spec: { containers: [], ...spec },
});

test('a volume is wanted when a container of any kind mounts it, takes it, or reads its environment from it', () => {
  const volumes = ['idle', 'init', 'main', 'debug', 'raw', 'env'].map((name) => ({ name, emptyDir: {} }));
  const mounts = (name: string) => ({ name: `c-${name}`, volumeMounts: [{ name, mountPath: '/m' }] });
  const pod = podWith({
    volumes,
    initContainers: [mounts('init')],
    containers: [
      {
        ...mounts('main'),
        volumeDevices: [{ name: 'raw', devicePath: '/d' }],
        env: [{ name: 'E', valueFrom: { fileKeyRef: { volumeName: 'env', path: 'p', key: 'k' } } }],
      },
    ],
    ephemeralContainers: [mounts('debug')],
  });
  const wanted = wantedVolumes(pod);
  expect(wanted.map(({ volume }) => volume.name)).toEqual(['init', 'main', 'debug', 'raw', 'env']);
  expect(wanted.filter(({ block }) => block).map(({ volume }) => volume.name)).toEqual(['raw']);
});

test.each<[(number | undefined)[], number | undefined, number | undefined]>([
  [[1, 1], undefined, 1],
  [[1, undefined], 1, 1],
  [[1, undefined], undefined, undefined],
  [[1, 2], undefined, undefined],
  [[undefined], 0, 0],
])('containers as %j in a pod as %s run as %s', (users, podUser, expected) => {
  const containers = users.map((runAsUser, index) => ({ name: `c${index}`, securityContext: { runAsUser } }));
  expect(commonUser(podWith({ containers, securityContext: { runAsUser: podUser } }))).toBe(expected);
});

test('only pods with downward API files depend on their own labels and resources', () => {
  expect(downwardKey(podWith({ volumes: [{ name: 'a', emptyDir: {} }] }))).toBe('');
  const volumes = [{ name: 'd', downwardAPI: { items: [] } }];
  const key = (labels: Record<string, string>, cpu: string): string =>
    downwardKey({
      metadata: { labels },
      spec: { volumes, containers: [{ name: 'c', resources: { limits: { cpu } } }] },
    });
  expect(key({ a: '1' }, '1')).toBe(key({ a: '1' }, '1'));
  expect(key({ a: '1' }, '1')).not.toBe(key({ a: '2' }, '1'));
  expect(key({ a: '1' }, '1')).not.toBe(key({ a: '1' }, '2'));
});

test.each<[string | undefined, string | undefined, string[]]>([
  [undefined, undefined, ['size=1073741824']],
  ['10Mi', undefined, ['size=10485760']],
  ['2Gi', undefined, ['size=1073741824']],
  ['0', undefined, ['size=1073741824']],
  ['10Mi', '5Mi', ['size=5242880']],
])('a limit of %s in a pod limited to %s gives a tmpfs with %j', (sizeLimit, memory, options) => {
  const pod = podWith({ containers: [{ name: 'c', resources: memory === undefined ? {} : { limits: { memory } } }] });
  const limits = { allocatable: () => ({ memory: '1Gi' }), noSwap: false };
  expect(tmpfsFor(pod, sizeLimit, limits).options).toEqual(options);
  expect(tmpfsFor(pod, sizeLimit, { ...limits, noSwap: true }).options).toEqual([...options, 'noswap']);
});

test.each([
  ['5.15.0', false],
  ['6.3.9', false],
  ['6.4.0-rc1', true],
  ['6.18.44-fc', true],
  ['7.0', true],
])('kernel %s keeps tmpfs out of swap: %s', (kernel, expected) => {
  expect(kernelKeepsTmpfsOutOfSwap(kernel)).toBe(expected);
});

test('mount points below a volume are found, outermost only', () => {
  const pod = podWith({
    containers: [
      {
        name: 'c',
        volumeMounts: [
          { name: 'v', mountPath: '/etc/app/' },
          { name: 'a', mountPath: '/etc/app/x' },
          { name: 'b', mountPath: '/etc/app/x/y' },
          { name: 'd', mountPath: '/etc/app/x-ray' },
          { name: 'e', mountPath: '/etc/application' },
        ],
      },
    ],
  });
  expect(nestedMountPoints(pod, 'v').sort()).toEqual(['x', 'x-ray']);
});

test('mounts below a folder come deepest first, stacked ones twice, escapes undone', () => {
  const table = [
    '20 1 0:1 / / rw - ext4 /dev/vda rw',
    '21 20 0:2 / /root\\040dir/pods/u/volumes/a rw shared:1 - tmpfs tmpfs rw,size=4k',
    '22 20 0:3 / /root\\040dir/pods/u/volumes/a rw - tmpfs tmpfs rw',
    '23 22 0:1 /x /root\\040dir/pods/u/volumes/a/b/c rw - ext4 /dev/vda rw',
    '24 20 0:4 / /root\\040dir/pods/u2 rw - tmpfs tmpfs rw',
    'half a line',
  ].join('\n');
  const found = mountsBelow(table, '/root dir/pods/u');
  expect(found.map(({ id, mountPoint }) => `${id} ${mountPoint}`)).toEqual([
    '23 /root dir/pods/u/volumes/a/b/c',
    '22 /root dir/pods/u/volumes/a',
    '21 /root dir/pods/u/volumes/a',
  ]);
  expect(found[2]).toMatchObject({ fsType: 'tmpfs', source: 'tmpfs', superOptions: 'rw,size=4k', root: '/' });
  expect(escapePath('a b\tc\\d#e')).toBe('a\\040b\\011c\\134d\\043e');
});

test('what comes while work runs goes together into the next round', async () => {
  const rounds: string[][] = [];
  let release = (): void => {};
  const batches = new Batches<string>(async (groups) => {
    rounds.push(groups.flat());
    await new Promise<void>((resolve) => (release = resolve));
    return groups.map((group) => (group.includes('bad') ? new Error('refused') : undefined));
  });
  const first = batches.submit(['a']);
  const second = batches.submit(['b', 'c']);
  const bad = batches.submit(['bad']);
  const last = batches.submit(['d']);
  release();
  await first;
  release();
  await second;
  await expect(bad).rejects.toThrow('refused');
  await last;
  expect(rounds).toEqual([['a'], ['b', 'c', 'bad', 'd']]);
});

test('a node matches any term whose requirements all hold', () => {
  const node = { name: 'n1', labels: { zone: 'a', size: '5' } };
  const matches = (...terms: { key: string; operator: string; values?: string[] }[][]): boolean =>
    matchesNodeSelector(
      { nodeSelectorTerms: terms.map((matchExpressions) => ({ matchExpressions: matchExpressions as [] })) },
      node,
    );
  expect(matches([{ key: 'zone', operator: 'In', values: ['a', 'b'] }])).toBe(true);
  expect(matches([{ key: 'zone', operator: 'In', values: ['b'] }], [{ key: 'zone', operator: 'Exists' }])).toBe(true);
  expect(
    matches([
      { key: 'zone', operator: 'Exists' },
      { key: 'disk', operator: 'Exists' },
    ]),
  ).toBe(false);
  expect(matches([{ key: 'disk', operator: 'NotIn', values: ['ssd'] }])).toBe(true);
  expect(
    matches([
      { key: 'size', operator: 'Gt', values: ['4'] },
      { key: 'size', operator: 'Lt', values: ['6'] },
    ]),
  ).toBe(true);
  expect(matches([{ key: 'zone', operator: 'Gt', values: ['4'] }])).toBe(false);
  expect(matches([{ key: 'toString', operator: 'Exists' }])).toBe(false);
  expect(matches([])).toBe(false);
  const byName = { matchFields: [{ key: 'metadata.name', operator: 'In' as const, values: ['n1'] }] };
  expect(matchesNodeSelector({ nodeSelectorTerms: [byName] }, node)).toBe(true);
});

test('a claim gets the volume reserved for it, else the smallest that fits', () => {
  const volume = (
    name: string,
    storage: string,
    rest: NonNullable<PersistentVolume['spec']> = {},
  ): PersistentVolume => ({
    metadata: { name, labels: { name } },
    spec: { capacity: { storage }, accessModes: ['ReadWriteOnce'], ...rest },
  });
  const claim = (spec: NonNullable<PersistentVolumeClaim['spec']> = {}): PersistentVolumeClaim => ({
    metadata: { name: 'c', namespace: 'n', uid: 'u' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '2Gi' } }, ...spec },
  });
  const big = volume('big', '10Gi');
  const fits = volume('fits', '3Gi');
  const small = volume('small', '1Gi');
  const pick = (wanted: PersistentVolumeClaim, volumes: PersistentVolume[], taken: string[] = []): string | undefined =>
    matchVolume(wanted, volumes, ({ metadata }) => taken.includes(metadata?.name ?? ''))?.metadata?.name;
  expect(pick(claim(), [big, small, fits])).toBe('fits');
  expect(pick(claim(), [big, small, fits], ['fits'])).toBe('big');
  expect(pick(claim(), [small])).toBeUndefined();
  expect(pick(claim({ volumeName: 'big' }), [big, fits])).toBe('big');
  expect(pick(claim({ storageClassName: 'fast' }), [big])).toBeUndefined();
  expect(pick(claim({ accessModes: ['ReadWriteMany'] }), [big])).toBeUndefined();
  expect(pick(claim({ volumeMode: 'Block' }), [big])).toBeUndefined();
  expect(pick(claim({ selector: { matchLabels: { name: 'big' } } }), [fits, big])).toBe('big');
  const mine = volume('mine', '5Gi', { claimRef: { namespace: 'n', name: 'c' } });
  const theirs = volume('theirs', '2Gi', { claimRef: { namespace: 'n', name: 'other' } });
  expect(pick(claim(), [fits, mine, theirs])).toBe('mine');
  expect(pick(claim(), [theirs])).toBeUndefined();
  const past = volume('past', '5Gi', { claimRef: { namespace: 'n', name: 'c', uid: 'old' } });
  expect(pick(claim(), [past])).toBeUndefined();
});
