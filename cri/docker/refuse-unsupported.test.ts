import { expect, test } from 'vitest';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { isCriCode } from '../contract/cri-error.js';
import { refuseUnsupportedContainer, refuseUnsupportedSandbox } from './refuse-unsupported.js';

const containers: readonly [what: string, config: Partial<v1.ContainerConfig>, words: RegExp][] = [
  ['CDI devices', { CDIDevices: [{ name: 'vendor.com/gpu=0' }] }, /CDI device vendor\.com\/gpu=0/],
  [
    'image volumes',
    { mounts: [{ containerPath: '/data', image: { image: 'a/b:1' } }] },
    /mount \/data: an image volume \(a\/b:1\)/,
  ],
  [
    'recursive read-only',
    { mounts: [{ containerPath: '/data', recursiveReadOnly: true }] },
    /a recursively read-only mount/,
  ],
  ['id-mapped mounts', { mounts: [{ containerPath: '/data', uidMappings: [{ length: 1 }] }] }, /an id-mapped mount/],
  [
    'user namespaces',
    { linux: { securityContext: { namespaceOptions: { usernsOptions: { mode: 'POD' } } } } },
    /a user namespace of its own/,
  ],
  [
    'ambient capabilities',
    { linux: { securityContext: { capabilities: { addAmbientCapabilities: ['NET_BIND_SERVICE'] } } } },
    /ambient capability NET_BIND_SERVICE/,
  ],
  [
    'strict groups',
    { linux: { securityContext: { supplementalGroupsPolicy: 'Strict' } } },
    /supplementalGroupsPolicy Strict/,
  ],
];

test.each(containers)('a container that asks for %s is refused with what can be done', (_what, config, words) => {
  const create = (): void => refuseUnsupportedContainer({ metadata: { name: 'main' }, ...config });
  expect(create).toThrow(words);
  expect(create).toThrow(/cannot be had on Docker; use the embedded runtime/);
  expect(create).toThrow(expect.toSatisfy((err) => isCriCode(err, 'unimplemented')));
});

test.each(['CONTAINER', 'TARGET'] as const)('a user namespace of mode %s is no request at all', (mode) => {
  const linux = { securityContext: { namespaceOptions: { usernsOptions: { mode } } } };
  const run = (): void => refuseUnsupportedSandbox({ metadata: { name: 'web' }, linux });
  expect(run).toThrow(expect.toSatisfy((err) => isCriCode(err, 'invalid-argument')));
});

test('what every pod asks for is not refused', () => {
  const namespaceOptions = { network: 'POD', ipc: 'POD', pid: 'CONTAINER', usernsOptions: { mode: 'NODE' } } as const;
  const securityContext = { namespaceOptions, supplementalGroupsPolicy: 'Merge' } as const;
  refuseUnsupportedSandbox({ metadata: { name: 'web' }, linux: { securityContext } });
  refuseUnsupportedContainer({
    mounts: [{ containerPath: '/a', hostPath: '/b', readonly: true, uidMappings: [], image: { image: '' } }],
    linux: { securityContext },
  });
});
