import { describe, expect, test } from 'vitest';
import { parseCdiSpec } from './cdi-spec.js';
import { parseQualifiedName } from './qualified-name.js';

const minimal = { cdiVersion: '0.3.0', kind: 'vendor.com/net', devices: [{ name: 'a', containerEdits: {} }] };
const parse = (change: object): unknown => parseCdiSpec(JSON.stringify({ ...minimal, ...change }), 'json');
const withEdits = (edits: object, version: string): object => ({
  cdiVersion: version,
  devices: [{ name: 'a', containerEdits: edits }],
});

test.each(['0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0', 'v0.5.0'])(
  'version %s is read',
  (cdiVersion) => {
    expect(parse({ cdiVersion })).toMatchObject({ kind: 'vendor.com/net' });
  },
);

test('YAML as NVIDIA’s toolkit writes it, with octal numbers', () => {
  const spec = parseCdiSpec(
    `---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      fileMode: 0666
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-ctk
    args: [nvidia-ctk, hook, create-symlinks]
  mounts:
  - hostPath: /usr/bin/nvidia-smi
    containerPath: /usr/bin/nvidia-smi
    options: [ro, nosuid, nodev, bind]
`,
    'yaml',
  );
  expect(spec.devices[0]?.containerEdits.deviceNodes).toEqual([{ path: '/dev/nvidia0', fileMode: 0o666 }]);
  expect(spec.containerEdits.hooks?.[0]?.args).toHaveLength(3);
});

describe('a file that uses more than its version had is refused, with the version that has it', () => {
  test.each([
    ['0.4.0', { mounts: [{ hostPath: '/a', containerPath: '/a', type: 'bind' }] }],
    ['0.5.0', { deviceNodes: [{ path: '/dev/a', hostPath: '/dev/b' }] }],
    ['0.7.0', { additionalGids: [7] }],
    ['0.7.0', { intelRdt: { closID: 'x' } }],
    ['1.1.0', { intelRdt: { schemata: ['L3:0=f'] } }],
    ['1.1.0', { netDevices: [{ hostInterfaceName: 'eth1', name: 'net0' }] }],
  ])('%s', (version, edits) => {
    const before = version === '1.1.0' ? '1.0.0' : '0.3.0';
    expect(() => parse(withEdits(edits, before))).toThrow(`came with ${version}`);
    expect(parse(withEdits(edits, version))).toBeDefined();
  });

  test.each([
    [{ kind: 'vendor.com/net.x' }, '0.6.0'],
    [{ annotations: { a: 'b' } }, '0.6.0'],
    [{ devices: [{ name: '0', containerEdits: {} }] }, '0.5.0'],
  ])('%o: %s', (change, version) => {
    expect(() => parse(change)).toThrow(`came with ${version}`);
  });
});

test.each<[object, RegExp]>([
  [{ cdiVersion: '2.0.0' }, /cdiVersion: "2\.0\.0" is no version/],
  [{ kind: 'vendor.com' }, /must read vendor\/class/],
  [{ kind: '1vendor/net' }, /is no vendor/],
  [{ devices: [] }, /devices: at least one/],
  [{ devices: [{ name: 'a' }, { name: 'a' }] }, /devices\.1: "a" is there twice/],
  [{ devices: [{ name: '-a' }] }, /devices\.0\.device name/],
  [{ extra: 1 }, /extra/],
  [withEdits({ env: ['=x'] }, '0.3.0'), /devices\.0\.containerEdits\.env\.0: must read NAME=value/],
  [withEdits({ deviceNodes: [{ path: '/dev/a', permissions: 'rwx' }] }, '0.3.0'), /permissions: must be/],
  [withEdits({ deviceNodes: [{ path: '/dev/a', type: 'x' }] }, '0.3.0'), /deviceNodes\.0\.type/],
  [withEdits({ hooks: [{ hookName: 'never', path: '/x' }] }, '0.3.0'), /hooks\.0\.hookName/],
  [withEdits({ intelRdt: { closID: '../x' } }, '0.7.0'), /closID/],
])('%o is refused', (change, words) => {
  expect(() => parse(change)).toThrow(words);
});

test.each([
  ['vendor.com/net=a', { kind: 'vendor.com/net', device: 'a' }],
  ['nvidia.com/gpu=GPU-1:2.x', { kind: 'nvidia.com/gpu', device: 'GPU-1:2.x' }],
  ['nvidia.com/gpu', undefined],
  ['/dev/a=b', undefined],
  ['vendor.com/net=', undefined],
  ['vendor.com/net=a b', undefined],
])('%s', (name, expected) => {
  expect(parseQualifiedName(name)).toEqual(expected);
});
