import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Event, Node, Pod } from '../../../agent/api/index.js';
import { ApiClient, readKubeconfig } from '../../../agent/controlplane/kubernetes/client/index.js';
import { watchStream } from '../../../agent/controlplane/kubernetes/client/watch-stream.js';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { runProgram } from '../../../base/run-program.js';
import { sampleImage } from '../agent-world.js';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';
import { inlineUser } from '../../support/kubeconfig.js';
import { isReady, mainId, NodeWorld } from './cluster-world.js';
import { expectSpeed } from '../../support/speed.js';

describe.runIf(hasControlPlane())('pods of a real API server', () => {
  let cluster: TestControlPlane;
  beforeAll(async () => {
    cluster = await TestControlPlane.start({ audit: true });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  test('a pod costs at most five writes from creation to Ready, and its events are told', async () => {
    await using node = await NodeWorld.open(cluster);
    await using _run = await node.start();
    await node.create(node.pod('frugal'));
    await node.untilReady('frugal');
    const events = await cluster.until('the events of the pod', async () => {
      const { body } = await cluster.api(
        'GET',
        '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=frugal',
      );
      const items = body['items'] as Event[];
      return items.some(({ reason }) => reason === 'Started') ? items : undefined;
    });
    expect(events.map(({ reason }) => reason)).toEqual(expect.arrayContaining(['Pulled', 'Created', 'Started']));
    expect(events[0]?.source).toEqual({ component: 'kubelet', host: node.name });
    const requests = await cluster.audited(`system:node:${node.name}`);
    const writes = requests.filter(({ verb, objectRef }) => {
      const isWrite = ['create', 'update', 'patch', 'delete'].includes(verb);
      const ofPod = objectRef?.resource === 'pods' || objectRef?.name?.startsWith('frugal') === true;
      return isWrite && (ofPod || objectRef?.resource === 'events');
    });
    const ofNode = (
      await cluster.api('GET', `/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=${node.name}`)
    ).body['items'] as Event[];
    const count = writes.length - ofNode.length;
    process.stdout.write(
      `API writes for one pod from creation to Ready: ${count} (${writes.map(({ verb, objectRef }) => `${verb} ${objectRef?.resource}/${objectRef?.subresource ?? ''}`).join(', ')})\n`,
    );
    expectSpeed('API writes for one pod', count, 5);
    await node.delete('frugal');
    await node.untilGone('frugal');
  });

  test('a pod is deleted with its grace, its end is told before it goes, and one of the same name follows', async () => {
    await using node = await NodeWorld.open(cluster);
    await using _run = await node.start();
    const command = ['sh', '-c', 'trap "sleep 1; exit 7" TERM; touch /listens; while true; do sleep 0.1; done'];
    const readinessProbe = { exec: { command: ['test', '-e', '/listens'] }, periodSeconds: 1 };
    const talking = { command, readinessProbe };
    const first = await node.create(node.pod('twin', { terminationGracePeriodSeconds: 20 }, talking));
    const watching = untilDeleted(cluster, await node.untilReady('twin'));
    await node.delete('twin');
    await node.untilGone('twin');
    const last = (await watching).findLast((pod) => pod.metadata?.uid === first.metadata?.uid);
    expect(last?.status?.phase).toBe('Failed');
    expect(last?.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(7);
    const second = await node.create(node.pod('twin'));
    await node.untilReady('twin');
    expect(second.metadata?.uid).not.toBe(first.metadata?.uid);
    await node.delete('twin', { gracePeriodSeconds: 0 });
    await node.untilGone('twin');
    await cluster.until('nothing is left', async () =>
      (await node.world.leftovers()).length === 0 ? true : undefined,
    );
  });

  test('a pod that is replaced by force under the same name runs after the first has gone', async () => {
    await using node = await NodeWorld.open(cluster);
    await using _run = await node.start();
    await node.create(node.pod('again'));
    const first = await node.untilReady('again');
    await node.delete('again', { gracePeriodSeconds: 0 });
    await node.create(node.pod('again'));
    const second = await node.untilReady('again');
    expect(mainId(second)).not.toBe(mainId(first));
    await node.delete('again');
    await node.untilGone('again');
  });

  test('a ConfigMap that changes reaches the running container; a Secret that comes late starts one', async () => {
    await using node = await NodeWorld.open(cluster);
    await using run = await node.start();
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `${node.name}-map` }, data: { word: 'one' } };
    await cluster.api('POST', '/api/v1/namespaces/default/configmaps', map);
    const pod = node.pod('reader', {
      volumes: [
        { name: 'map', configMap: { name: map.metadata.name } },
        { name: 'secret', secret: { secretName: `${node.name}-secret` } },
      ],
      containers: [
        {
          name: 'main',
          image: sampleImage,
          command: ['sleep', '1000000'],
          volumeMounts: [
            { name: 'map', mountPath: '/map' },
            { name: 'secret', mountPath: '/secret' },
          ],
        },
      ],
    });
    const created = await node.create(pod);
    await cluster.until('the wait is told', async () =>
      run.agent.pods().some(({ waits }) => waits.some((wait) => wait.lastError?.message.includes('secret') === true))
        ? true
        : undefined,
    );
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `${node.name}-secret` },
      stringData: { key: 'hidden' },
    };
    await cluster.api('POST', '/api/v1/namespaces/default/secrets', secret);
    await node.untilReady('reader');
    const volume = join(
      node.world.config.paths.rootDir,
      'pods',
      created.metadata?.uid ?? '',
      'volumes/kubernetes.io~configmap/map/word',
    );
    expect(await readFile(volume, 'utf8')).toBe('one');
    await cluster.api('PATCH', `/api/v1/namespaces/default/configmaps/${map.metadata.name}`, { data: { word: 'two' } });
    await cluster.until('the change is there', async () =>
      (await readFile(volume, 'utf8')) === 'two' ? true : undefined,
    );
    await node.delete('reader');
    await node.untilGone('reader');
  });

  test('a static pod has a mirror that tells its status, comes back when deleted, and goes with it', async () => {
    await using node = await NodeWorld.open(cluster);
    await using _run = await node.start();
    const manifest = (word: string): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'fixed' },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            { name: 'main', image: sampleImage, command: ['sleep', '1000000'], env: [{ name: 'WORD', value: word }] },
          ],
        },
      });
    await node.world.write('fixed.json', manifest('one'));
    const name = `fixed-${node.name}`;
    const mirror = await node.untilReady(name);
    const owner = (await cluster.api('GET', `/api/v1/nodes/${node.name}`)).body as Node;
    expect(mirror.metadata?.annotations).toMatchObject({ 'kubernetes.io/config.source': 'file' });
    expect(mirror.metadata?.annotations?.['kubernetes.io/config.mirror']).toBe(
      mirror.metadata?.annotations?.['kubernetes.io/config.hash'],
    );
    expect(mirror.metadata?.ownerReferences).toMatchObject([
      { kind: 'Node', uid: owner.metadata?.uid, controller: true },
    ]);

    await node.delete(name, { gracePeriodSeconds: 0 });
    const second = await node.untilPod(
      'is back',
      name,
      (pod) => pod.metadata?.uid !== mirror.metadata?.uid && isReady(pod),
    );
    expect(mainId(second)).toBe(mainId(mirror));

    await node.world.write('fixed.json', manifest('two'));
    const third = await node.untilPod(
      'is replaced',
      name,
      (pod) => pod.spec?.containers[0]?.env?.[0]?.value === 'two' && isReady(pod),
    );
    expect(mainId(third)).not.toBe(mainId(mirror));

    await rm(join(node.world.dir, 'manifests', 'fixed.json'));
    await node.untilGone(name);
    await cluster.until('nothing is left', async () =>
      (await node.world.leftovers()).length === 0 ? true : undefined,
    );
  });

  test('what the node has no room for is refused with the reason; a critical pod takes the place of another one', async () => {
    await using node = await NodeWorld.open(cluster);
    await using _run = await node.start();
    const cpus = await cluster.until('the node tells its CPUs', async () => {
      const shown = await cluster.find<Node>(`/api/v1/nodes/${node.name}`);
      const cpu = shown?.status?.allocatable?.['cpu'];
      return cpu === undefined ? undefined : Number(cpu);
    });
    const asks = (cpu: number): Record<string, unknown> => ({ resources: { requests: { cpu: `${cpu * 1000}m` } } });
    await node.create(node.pod('settled', {}, asks(cpus)));
    await node.untilReady('settled');
    await node.create(node.pod('unfit', {}, asks(1)));
    const refused = await node.untilPod('is refused', 'unfit', (pod) => pod.status?.phase === 'Failed');
    expect(refused.status?.reason).toBe('OutOfcpu');
    expect(refused.status?.message).toMatch(
      /^Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, /,
    );
    await node.create(node.pod('critical', { priorityClassName: 'system-node-critical' }, asks(1)));
    const preempted = await node.untilPod('is preempted', 'settled', (pod) => pod.status?.phase === 'Failed');
    expect(preempted.status).toMatchObject({
      reason: 'Preempting',
      message: 'Preempted in order to admit critical pod',
      conditions: expect.arrayContaining([
        expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet' }),
      ]),
    });
    await node.untilReady('critical');
    for (const name of ['settled', 'unfit', 'critical']) await node.delete(name);
    for (const name of ['settled', 'unfit', 'critical']) await node.untilGone(name);
  });

  test('a status that someone else changed is written again', async () => {
    await using node = await NodeWorld.open(cluster);
    await using _run = await node.start();
    await node.create(node.pod('doubted'));
    await node.untilReady('doubted');
    await cluster.api('PATCH', '/api/v1/namespaces/default/pods/doubted/status', {
      status: { podIP: '', podIPs: [], phase: 'Pending' },
    });
    await node.untilPod(
      'is Running again',
      'doubted',
      (pod) => pod.status?.phase === 'Running' && pod.status.podIP !== undefined,
    );
    await node.delete('doubted');
    await node.untilGone('doubted');
  });

  test('conditions of others stay, and open a readiness gate', async () => {
    await using node = await NodeWorld.open(cluster);
    await using _run = await node.start();
    await node.create(node.pod('gated', { readinessGates: [{ conditionType: 'example.com/open' }] }));
    await node.untilPod('runs', 'gated', (pod) => pod.status?.containerStatuses?.[0]?.ready === true);
    expect(isReady((await node.get('gated')) as Pod)).toBe(false);
    const before = (await node.get('gated'))?.status?.conditions ?? [];
    await cluster.api('PATCH', '/api/v1/namespaces/default/pods/gated/status', {
      status: { conditions: [...before, { type: 'example.com/open', status: 'True', reason: 'Test' }] },
    });
    const pod = await node.untilReady('gated');
    expect(pod.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'example.com/open', reason: 'Test' }),
    );
    await node.delete('gated');
    await node.untilGone('gated');
  });
});

/** What a watcher of the pod sees from this version on, until it is deleted. */
async function untilDeleted(cluster: TestControlPlane, { metadata }: Pod): Promise<Pod[]> {
  const watcher = inlineUser(await cluster.identity('watcher', ['system:masters']));
  const config = await readKubeconfig(await cluster.kubeconfig('watcher', watcher));
  const deps = { clock: systemClock, log: silentLogger, run: runProgram };
  await using client = new ApiClient(config, { userAgent: 'test' }, deps);
  const seen: Pod[] = [];
  const request = {
    path: '/api/v1/namespaces/default/pods',
    fieldSelector: `metadata.name=${metadata?.name}`,
    resourceVersion: metadata?.resourceVersion ?? '',
    timeoutSeconds: 100,
  };
  for await (const events of watchStream(client, request, new AbortController().signal)) {
    for (const { type, object } of events) {
      seen.push(object as Pod);
      if (type === 'DELETED') return seen;
    }
  }
  return seen;
}
