import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Node } from '../../../agent/api/index.js';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';
import { NodeWorld } from './cluster-world.js';

describe.runIf(hasControlPlane())('a node of a real cluster of version 1.33', () => {
  let cluster: TestControlPlane;
  beforeAll(async () => {
    // The oldest Kubernetes that berth is a node of: its API, without what came later.
    cluster = await TestControlPlane.start({
      scheduler: true,
      controllerManager: true,
      audit: true,
      emulate: '1.33',
    });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  test('registers, keeps its lease, runs a pod the scheduler gave it, and lets it go', async () => {
    await using node = await NodeWorld.open(cluster);
    await using run = await node.start();
    const ready = await cluster.until<Node>('the node is ready', async () => {
      const shown = await cluster.find<Node>(`/api/v1/nodes/${node.name}`);
      const conditions = shown?.status?.conditions;
      return conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ? shown : undefined;
    });
    expect(ready.metadata?.labels).toMatchObject({
      'kubernetes.io/os': 'linux',
      'kubernetes.io/hostname': expect.any(String),
    });
    expect(ready.status?.conditions?.map(({ type }) => type)).toEqual([
      'MemoryPressure',
      'DiskPressure',
      'PIDPressure',
      'Ready',
    ]);
    const leasePath = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${node.name}`;
    const lease = await cluster.until('the lease', () => cluster.find(leasePath));
    expect(lease).toMatchObject({ spec: { holderIdentity: node.name, leaseDurationSeconds: 40 } });

    await node.create(
      node.pod(
        'scheduled',
        { nodeName: undefined, nodeSelector: { 'kubernetes.io/os': 'linux' }, automountServiceAccountToken: true },
        { resources: { requests: { cpu: '10m' } } },
      ),
    );
    const pod = await node.untilReady('scheduled');
    expect(pod.spec?.nodeName).toBe(node.name);
    expect(pod.status).toMatchObject({ phase: 'Running', hostIP: '127.0.0.1' });

    // Of what the node says of the pod this version drops some, and it is not said again and again.
    const statusWrites = async (): Promise<number> => {
      const all = await cluster.audited(`system:node:${node.name}`);
      return all.filter(({ verb, objectRef }) => verb === 'patch' && objectRef?.subresource === 'status').length;
    };
    let round = 0;
    await cluster.until('the agent sees another version of the pod and writes nothing', async () => {
      const before = await statusWrites();
      const seen = `round-${round++}`;
      await cluster.api('PATCH', '/api/v1/namespaces/default/pods/scheduled', { metadata: { labels: { seen } } });
      await cluster.until('the agent has seen the pod again', async () =>
        run.agent.pods().some((each) => each.pod?.metadata?.labels?.['seen'] === seen) ? true : undefined,
      );
      return (await statusWrites()) === before || undefined;
    });
    await node.delete('scheduled');
    await node.untilGone('scheduled');
    await cluster.until('nothing is left', async () =>
      (await node.world.leftovers()).length === 0 ? true : undefined,
    );
  });
});
