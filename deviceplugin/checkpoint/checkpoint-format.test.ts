import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { serviceDefinition } from '../../proto/load.js';
import type { Grant } from '../devices/grants.js';
import { checkpointChecksum } from './checkpoint-checksum.js';
import { formatCheckpoint, parseCheckpoint, type CheckpointData } from './checkpoint-format.js';
import { responseCodec } from './response-codec.js';

const codec = responseCodec(serviceDefinition('deviceplugin-v1beta1', 'v1beta1.DevicePlugin'));

const empty = { envs: {}, mounts: [], devices: [], annotations: {}, cdiDevices: [] };
const response = {
  ...empty,
  envs: { NVIDIA_VISIBLE_DEVICES: 'GPU-1' },
  devices: [{ containerPath: '/dev/nvidia0', hostPath: '/dev/nvidia0', permissions: 'rw' }],
};

const data: CheckpointData = {
  grants: [
    {
      podUid: 'uid-1',
      container: 'main',
      resource: 'nvidia.com/gpu',
      byNuma: new Map([
        [0, ['GPU-1', 'GPU-2']],
        [1, ['GPU-2']],
      ]),
      response,
    },
    { podUid: 'uid-1', container: 'plain', resource: 'a.b/c', byNuma: new Map([[-1, ['x']]]), response: empty },
    {
      podUid: 'uid-2',
      container: 'main',
      resource: 'nvidia.com/gpu',
      byNuma: new Map([[-1, ['GPU-3']]]),
      response: undefined,
    },
  ],
  registered: new Map([['nvidia.com/gpu', ['GPU-1', 'GPU-2', 'GPU-3']]]),
  plugins: new Map([['nvidia.com/gpu', { socketPath: '/x/nvidia.sock', preStartRequired: true }]]),
};

test('what was written is read', () => {
  expect(parseCheckpoint(formatCheckpoint(data, codec), codec)).toEqual({ data, notes: [] });
});

test('the kubelet finds what it looks for, and an intent is no grant to it', () => {
  const file = JSON.parse(formatCheckpoint(data, codec)) as {
    Data: { PodDeviceEntries: Array<Record<string, unknown>>; RegisteredDevices: object };
    Checksum: number;
  };
  expect(Object.keys(file).slice(0, 2)).toEqual(['Data', 'Checksum']);
  expect(file.Data.RegisteredDevices).toEqual({ 'nvidia.com/gpu': ['GPU-1', 'GPU-2', 'GPU-3'] });
  expect(file.Data.PodDeviceEntries).toHaveLength(2);
  expect(file.Data.PodDeviceEntries[0]).toMatchObject({
    PodUID: 'uid-1',
    ContainerName: 'main',
    ResourceName: 'nvidia.com/gpu',
    DeviceIDs: { 0: ['GPU-1', 'GPU-2'], 1: ['GPU-2'] },
  });
  expect(file.Data.PodDeviceEntries[1]).toMatchObject({ AllocResp: '' });
  expect(Number.isInteger(file.Checksum)).toBe(true);
});

/** In the shape of a kubelet 1.36; the bytes are the response above as protobuf. */
const foreign = {
  Data: {
    PodDeviceEntries: [
      {
        PodUID: 'uid-1',
        ContainerName: 'main',
        ResourceName: 'nvidia.com/gpu',
        DeviceIDs: { '0': ['GPU-1'] },
        AllocResp: 'Ch8KFk5WSURJQV9WSVNJQkxFX0RFVklDRVMSBUdQVS0xGiAKDC9kZXYvbnZpZGlhMBIML2Rldi9udmlkaWEwGgJydw==',
      },
    ],
    RegisteredDevices: { 'nvidia.com/gpu': ['GPU-1'], 'a.b/c': null },
  },
  Checksum: 0,
};
const checked = (file: { Data: object }): string =>
  JSON.stringify({ ...file, Checksum: checkpointChecksum(file.Data as Record<string, unknown>) });

/** Checksums of these bytes as a kubelet's own code makes them. */
test.each([
  [2370076145, JSON.stringify(foreign.Data)],
  [
    3152837575,
    '{"PodDeviceEntries":[{"PodUID":"ü<&>","ContainerName":"m","ResourceName":"r.x/y","DeviceIDs":{"10":["b","c"],"-1":["a"],"2":[]},"AllocResp":""},{"PodUID":"2","ContainerName":"n","ResourceName":"r","DeviceIDs":null,"AllocResp":null}],"RegisteredDevices":{"b":[],"a":["1","2"]}}',
  ],
  [3467439661, '{"PodDeviceEntries":null,"RegisteredDevices":{}}'],
  [3252601439, '{"PodDeviceEntries":[],"RegisteredDevices":null}'],
])('the checksum is the kubelet’s: %d', (checksum, text) => {
  expect(checkpointChecksum(JSON.parse(text) as Record<string, unknown>)).toBe(checksum);
});

describe('files of others', () => {
  test('a kubelet checkpoint is read, with a note', () => {
    const read = parseCheckpoint(checked(foreign), codec);
    expect(read.data.grants).toEqual([
      {
        podUid: 'uid-1',
        container: 'main',
        resource: 'nvidia.com/gpu',
        byNuma: new Map([[0, ['GPU-1']]]),
        response,
      },
    ]);
    expect([...read.data.registered]).toEqual([
      ['nvidia.com/gpu', ['GPU-1']],
      ['a.b/c', []],
    ]);
    expect(read.notes).toEqual([expect.stringContaining('written by a kubelet')]);
  });

  test('the format before NUMA nodes is read', () => {
    const old = structuredClone(foreign) as unknown as { Data: { PodDeviceEntries: Array<{ DeviceIDs: unknown }> } };
    for (const entry of old.Data.PodDeviceEntries) entry.DeviceIDs = ['GPU-1', 'GPU-9'];
    const [grant] = parseCheckpoint(checked(old), codec).data.grants;
    expect(grant?.byNuma).toEqual(new Map([[-1, ['GPU-1', 'GPU-9']]]));
  });

  test('an entry that cannot be read is left out and said', () => {
    const odd = structuredClone(foreign) as unknown as { Data: { PodDeviceEntries: unknown[] } };
    odd.Data.PodDeviceEntries.push({ PodUID: 'uid-2' }, { ...foreign.Data.PodDeviceEntries[0], AllocResp: '/w==' });
    const read = parseCheckpoint(checked(odd), codec);
    expect(read.data.grants).toHaveLength(1);
    expect(read.notes.filter((note) => note.includes('left out'))).toHaveLength(2);
  });

  test('empty lists of Go are null', () => {
    const read = parseCheckpoint(checked({ Data: { PodDeviceEntries: null, RegisteredDevices: {} } }), codec);
    expect(read.data.grants).toEqual([]);
  });
});

test.each([
  ['', /JSON/],
  ['[]', /no object/],
  ['{"Data":7}', /Data is no object/],
  [formatCheckpoint(data, codec).replace('uid-1', 'uid-7'), /checksum/],
  [formatCheckpoint(data, codec).replace('uid-2', 'uid-7'), /checksum mismatch in Berth/],
  [JSON.stringify({ ...foreign, Checksum: 77 }), /checksum/],
  [JSON.stringify({ Data: { PodDeviceEntries: [7] }, Checksum: 77 }), /checksum/],
  [formatCheckpoint(data, codec).slice(0, -40), /JSON/],
])('refuses %.20s...', (text, reason) => {
  expect(() => parseCheckpoint(text, codec)).toThrow(reason);
});

test('any response survives its encoding', () => {
  const word = fc.string({ maxLength: 300 });
  fc.assert(
    fc.property(
      fc.record({
        envs: fc.dictionary(fc.stringMatching(/^[A-Z]{1,8}$/), word),
        devices: fc.array(fc.record({ containerPath: word, hostPath: word, permissions: word })),
      }),
      (partial) => {
        const value: NonNullable<Grant['response']> = { ...empty, ...partial };
        expect(codec.decode(codec.encode(value))).toEqual(value);
      },
    ),
    { numRuns: 50 },
  );
});
