import { expect, test } from 'vitest';
import type { CsiDriverInfo } from '../../csi/index.js';
import type { CSINode } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import { CsiNodes, csiNodeMarks } from './csi-nodes.js';

const never = new AbortController().signal;
const driver = (name: string, maxVolumes?: number): CsiDriverInfo => ({
  name,
  endpoint: '/csi.sock',
  since: 0,
  lastError: undefined,
  state: {
    kind: 'ready',
    node: { nodeId: `${name}-id`, maxVolumes, topology: { 'topology.example.com/zone': 'a' } },
    capabilities: {} as never,
  },
});

/** A control plane that keeps the one object. */
function store(): { current: CSINode | undefined; plane: Pick<ControlPlane, 'get' | 'writeCsiNode'> } {
  const kept: ReturnType<typeof store> = {
    current: undefined,
    plane: {
      get: ((kind: string) =>
        Promise.resolve(
          kind === 'CSINode' ? kept.current : { metadata: { uid: 'node-uid' } },
        )) as unknown as ControlPlane['get'],
      writeCsiNode: (object) => {
        kept.current = object;
        return Promise.resolve();
      },
    },
  };
  return kept;
}

test('each driver has one entry; drivers that register at once do not lose each other', async () => {
  const kept = store();
  const nodes = new CsiNodes('n1', { controlPlane: kept.plane });
  await Promise.all([nodes.announce(driver('a.com', 8), never), nodes.announce(driver('b.com'), never)]);
  await nodes.announce(driver('a.com', 9), never);
  expect(kept.current).toEqual({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSINode',
    metadata: { name: 'n1', ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'node-uid' }] },
    spec: {
      drivers: [
        { name: 'b.com', nodeID: 'b.com-id', topologyKeys: ['topology.example.com/zone'] },
        { name: 'a.com', nodeID: 'a.com-id', topologyKeys: ['topology.example.com/zone'], allocatable: { count: 9 } },
      ],
    },
  });
  await nodes.withdraw('b.com', never);
  expect(kept.current?.spec.drivers.map(({ name }) => name)).toEqual(['a.com']);
});

test('what drivers want on the Node', () => {
  expect(csiNodeMarks([driver('a.com'), { ...driver('b.com'), state: { kind: 'gone' } }])).toEqual({
    annotations: { 'csi.volume.kubernetes.io/nodeid': '{"a.com":"a.com-id"}' },
    labels: { 'topology.example.com/zone': 'a' },
  });
  expect(csiNodeMarks([])).toEqual({ annotations: {}, labels: {} });
});
