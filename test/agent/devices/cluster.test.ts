import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CSINode, Node } from '../../../agent/api/index.js';
import { NodeWorld } from '../controlplane/cluster-world.js';
import { BuiltExample } from '../../csi/build-example.js';
import { ExampleDriver } from '../../csi/example-driver.js';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';

const driverName = 'folder.csi.example.com';
const slices = '/apis/resource.k8s.io/v1/resourceslices';

describe.runIf(hasControlPlane())('what plugins want known of a node of a real cluster', () => {
  let cluster: TestControlPlane;
  beforeAll(async () => {
    cluster = await TestControlPlane.start();
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  test('ids of storage drivers, also on a node object that was made anew; slices of drivers that are not here', async () => {
    await using example = await BuiltExample.build();
    await using node = await NodeWorld.open(cluster);
    const sliceOf = (nodeName: string): object => ({
      apiVersion: 'resource.k8s.io/v1',
      kind: 'ResourceSlice',
      metadata: { name: `slice-of-${nodeName}` },
      spec: {
        driver: 'gpu.example.com',
        nodeName,
        pool: { name: 'p', generation: 1, resourceSliceCount: 1 },
        devices: [],
      },
    });
    for (const name of [node.name, 'another']) await cluster.api('POST', slices, sliceOf(name));
    const folder = join(node.world.dir, 'driver');
    const registry = join(node.world.config.paths.rootDir, 'plugins_registry');
    for (const path of [folder, registry]) await mkdir(path, { recursive: true });
    await using driver = new ExampleDriver({ main: example.main, name: driverName, nodeId: 'here', folder, registry });
    await using _run = await node.start();

    await cluster.until('the slice of this node is gone', async () => {
      const slice = await cluster.find(`${slices}/slice-of-${node.name}`);
      return slice === undefined ? true : undefined;
    });
    expect((await cluster.api('GET', `${slices}/slice-of-another`)).status).toBe(200);

    const nodePath = `/api/v1/nodes/${node.name}`;
    const read = (): Promise<Node | undefined> => cluster.find<Node>(nodePath);
    const idOf = (object: Node | undefined): unknown =>
      JSON.parse(object?.metadata?.annotations?.['csi.volume.kubernetes.io/nodeid'] ?? '{}');
    const told = async (): Promise<Node | undefined> => {
      const object = await read();
      return JSON.stringify(idOf(object)) === `{"${driverName}":"here"}` ? object : undefined;
    };
    const csiNode = (): Promise<CSINode | undefined> =>
      cluster.find<CSINode>(`/apis/storage.k8s.io/v1/csinodes/${node.name}`);
    const namesDriver = async (): Promise<true | undefined> => {
      const drivers = (await csiNode())?.spec.drivers;
      return drivers?.some(({ name, nodeID }) => name === driverName && nodeID === 'here') || undefined;
    };

    await driver.start();
    const first = await cluster.until('the node names the driver', told);
    await cluster.until('the CSINode names it', namesDriver);

    await cluster.api('DELETE', nodePath);
    const second = await cluster.until('a new node object names it again', async () => {
      const object = await told();
      return object?.metadata?.uid === first.metadata?.uid ? undefined : object;
    });
    expect(second.metadata?.uid).not.toBe(first.metadata?.uid);

    await driver.stop('SIGTERM');
    await cluster.until('the node does not name it any more', async () =>
      JSON.stringify(idOf(await read())) === '{}' ? true : undefined,
    );
    await cluster.until('nor does the CSINode', async () => (await namesDriver()) !== true || undefined);
  });
});
