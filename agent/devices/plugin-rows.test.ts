import { expect, test } from 'vitest';
import type { CsiDriverInfo, PluginStatus } from '../../csi/index.js';
import { pluginReports, type PluginSources } from './plugin-rows.js';

const nobody: PluginSources = {
  sockets: [],
  csi: [],
  flexVolumes: [],
  devices: [],
  pools: new Set(),
  dra: [],
  notes: [],
};
const plugin = {
  id: '1',
  type: 'CSIPlugin',
  name: 'folder.example.com',
  endpoint: '/csi.sock',
  versions: ['1.0.0'],
  socketPath: '/reg/folder.sock',
} as const;

test('device resources tell their numbers, and why they cannot be had', () => {
  const device = { resource: 'a.com/gpu', capacity: 4, allocatable: 3, inUse: 2, state: 'ready' } as const;
  const away = {
    resource: 'a.com/nic',
    capacity: 1,
    allocatable: 0,
    inUse: 1,
    state: 'stopped',
    reason: 'the device plugin of a.com/nic stopped: it went',
  } as const;
  const pool = { ...device, resource: 'a.com/serial' };
  const rows = pluginReports({ ...nobody, devices: [device, away, pool], pools: new Set(['a.com/serial']) });
  expect(rows.map(({ name, ready, message }) => [name, ready, message])).toEqual([
    ['a.com/gpu', true, '3 of 4 healthy, 2 in use'],
    ['a.com/nic', false, 'the device plugin of a.com/nic stopped: it went; 0 of 1 healthy, 1 in use'],
    ['a.com/serial', true, '3 of 4 healthy, 2 in use (device pool)'],
  ]);
});

test('a CSI driver is one row, with the version it registered; a socket that got no further is another', () => {
  const registered: PluginStatus = { socketPath: plugin.socketPath, since: 0, state: { kind: 'registered', plugin } };
  const stale: PluginStatus = {
    socketPath: '/reg/old.sock',
    since: 0,
    state: { kind: 'failed', attempt: 2, code: 'unreachable', reason: 'nobody listens on it', nextTry: 1 },
  };
  const driver: CsiDriverInfo = {
    name: plugin.name,
    endpoint: '/csi.sock',
    state: { kind: 'failed' },
    since: 0,
    lastError: 'NodeGetInfo: no answer',
  };
  expect(pluginReports({ ...nobody, sockets: [registered, stale], csi: [driver] })).toEqual([
    { interface: 'csi', name: plugin.name, version: '1.0.0', ready: false, message: 'failed: NodeGetInfo: no answer' },
    { interface: 'registration', name: '/reg/old.sock', version: '', ready: false, message: 'nobody listens on it' },
  ]);
});
