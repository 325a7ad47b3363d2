import { expect, test } from 'vitest';
import type { CsiDriverInfo } from '../../../csi/index.js';
import type { CSINode } from '../../api/index.js';
import type { ControlPlane } from '../../controlplane/control-plane.js';
import { CsiNodes } from './csi-nodes.js';

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
function store(): {
  current: CSINode | undefined;
  node: { metadata: { uid: string; labels: Record<string, string>; annotations: Record<string, string> } };
  plane: Pick<ControlPlane, 'get' | 'writeCsiNode' | 'markNode'>;
} {
  const kept: ReturnType<typeof store> = {
    current: undefined,
    node: { metadata: { uid: 'node-uid', labels: {}, annotations: {} } },
    plane: {
      get: ((kind: string) =>
        Promise.resolve(kind === 'CSINode' ? kept.current : kept.node)) as unknown as ControlPlane['get'],
      writeCsiNode: (object) => {
        kept.current = object;
        return Promise.resolve();
      },
      markNode: ({ labels, annotations }) => {
        const { metadata } = kept.node;
        for (const [from, to] of [
          [labels, metadata.labels],
          [annotations, metadata.annotations],
        ] as const)
          for (const [key, value] of Object.entries(from)) {
            if (value === null) delete to[key];
            else to[key] = value;
          }
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

test('ids and topology stand on the Node while the driver is here; its topology stays', async () => {
  const kept = store();
  const nodes = new CsiNodes('n1', { controlPlane: kept.plane });
  await Promise.all([nodes.announce(driver('a.com'), never), nodes.announce(driver('b.com'), never)]);
  const ids = (): unknown => JSON.parse(kept.node.metadata.annotations['csi.volume.kubernetes.io/nodeid'] ?? 'null');
  expect(ids()).toEqual({ 'a.com': 'a.com-id', 'b.com': 'b.com-id' });
  expect(kept.node.metadata.labels).toEqual({ 'topology.example.com/zone': 'a' });
  await nodes.withdraw('a.com', never);
  expect(ids()).toEqual({ 'b.com': 'b.com-id' });
  await nodes.withdraw('b.com', never);
  expect(ids()).toBeNull();
  expect(kept.node.metadata.labels).toEqual({ 'topology.example.com/zone': 'a' });
});

test('a topology that contradicts the label of the node is refused before CSINode tells of the driver', async () => {
  const kept = store();
  kept.node.metadata.labels['topology.example.com/zone'] = 'b';
  const nodes = new CsiNodes('n1', { controlPlane: kept.plane });
  await expect(nodes.announce(driver('a.com'), never)).rejects.toThrow(
    'detected topology value collision: driver reported "topology.example.com/zone":"a" but existing label',
  );
  expect(kept.current).toBeUndefined();
});
