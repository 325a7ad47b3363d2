import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Node, Pod } from '../../agent/api/index.js';
import { hasControlPlane, TestControlPlane } from '../support/control-plane.js';
import { NodeWorld, type ClusterNode } from './cluster-world.js';

/** What a pod of a cluster gets from other objects there, as its containers see it. */
describe.runIf(hasControlPlane())('objects of a real cluster in a container', () => {
  let cluster: TestControlPlane;
  let node: NodeWorld;
  let run: ClusterNode;
  beforeAll(async () => {
    cluster = await TestControlPlane.start();
    node = await NodeWorld.open(cluster);
    // The node proves itself with what a program gives, as on machines of a cloud.
    const plugin = join(node.world.dir, 'credential-plugin');
    const { cert, key } = await cluster.nodeIdentity(node.name);
    const apiVersion = 'client.authentication.k8s.io/v1';
    const status = { clientCertificateData: cert, clientKeyData: key };
    const answer = JSON.stringify({ apiVersion, kind: 'ExecCredential', status });
    await writeFile(plugin, `#!/bin/sh\ncat <<'END'\n${answer}\nEND\n`);
    await chmod(plugin, 0o755);
    const exec = { apiVersion, command: plugin, interactiveMode: 'Never', provideClusterInfo: true };
    node.kubeconfig = await cluster.kubeconfig('by-plugin', { exec });
    const taint = { key: 'example.com/new', value: 'yes', effect: 'PreferNoSchedule' } as const;
    run = await node.start({ taints: [taint], statusEveryMs: 500 });
    await make('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'robot' } });
    await make('/api/v1/namespaces/default/configmaps', { metadata: { name: 'map' }, data: { word: 'mapped' } });
    await make('/api/v1/namespaces/default/secrets', { metadata: { name: 'secret' }, stringData: { key: 'hidden' } });
    await make('/api/v1/namespaces/default/services', {
      metadata: { name: 'my-web' },
      spec: { clusterIP: '10.0.0.50', ports: [{ name: 'http', port: 80 }] },
    });
    await make('/apis/node.k8s.io/v1/runtimeclasses', {
      metadata: { name: 'with-crun' },
      handler: 'crun',
      overhead: { podFixed: { cpu: '5m', memory: '4Mi' } },
    });
    await make('/apis/scheduling.k8s.io/v1/priorityclasses', { metadata: { name: 'urgent' }, value: 1000 });
  });
  afterAll(async () => {
    await run?.[Symbol.asyncDispose]();
    await node?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const make = (path: string, object: object): Promise<unknown> => cluster.api('POST', path, object);
  const fromField = (name: string, fieldPath: string): object => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const fromResource = (name: string, resource: string): object => ({
    name,
    valueFrom: { resourceFieldRef: { resource } },
  });
  const written = async (pod: Pod, file: string): Promise<string> => {
    const volumes = join(node.world.config.paths.rootDir, 'pods', pod.metadata?.uid ?? '', 'volumes');
    return await readFile(join(volumes, 'kubernetes.io~empty-dir/out', file), 'utf8');
  };

  test('service links, downward fields, a projected volume with a token the cluster knows, a runtime class', async () => {
    const script = 'env > /out/env; cp /all/* /out/; grep Seccomp: /proc/self/status > /out/status; exec sleep 1000000';
    await node.create(
      node.pod(
        'rich',
        {
          runtimeClassName: 'with-crun',
          priorityClassName: 'urgent',
          serviceAccountName: 'robot',
          volumes: [
            { name: 'out', emptyDir: {} },
            {
              name: 'all',
              projected: {
                sources: [
                  { configMap: { name: 'map' } },
                  { secret: { name: 'secret', items: [{ key: 'key', path: 'secret' }] } },
                  { serviceAccountToken: { path: 'token', audience: 'vault', expirationSeconds: 600 } },
                  { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
                ],
              },
            },
          ],
        },
        {
          command: ['sh', '-c', script],
          resources: { requests: { memory: '8Mi' } },
          volumeMounts: [
            { name: 'out', mountPath: '/out' },
            { name: 'all', mountPath: '/all' },
          ],
          env: [
            ...[
              fromField('NODE', 'spec.nodeName'),
              fromField('HOST', 'status.hostIP'),
              fromField('IP', 'status.podIP'),
            ],
            ...[fromField('ACCOUNT', 'spec.serviceAccountName'), fromField('ID', 'metadata.uid')],
            ...[fromResource('CPUS', 'limits.cpu'), fromResource('MEMORY', 'limits.memory')],
          ],
        },
      ),
    );
    await cluster.api('PATCH', '/api/v1/namespaces/default/pods/rich', { metadata: { labels: { color: 'red' } } });
    const pod = await node.untilReady('rich');
    expect(pod.spec).toMatchObject({ overhead: { cpu: '5m' }, priority: 1000 });
    const env = new Map(
      (await written(pod, 'env')).split('\n').map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
    );
    const shown = (name: string): string | undefined => env.get(name);
    expect(shown('MY_WEB_SERVICE_HOST')).toBe('10.0.0.50');
    expect(shown('MY_WEB_SERVICE_PORT_HTTP')).toBe('80');
    expect(shown('KUBERNETES_SERVICE_HOST')).toBe('10.0.0.1');
    expect([shown('NODE'), shown('HOST'), shown('ACCOUNT'), shown('ID')]).toEqual([
      ...[node.name, '127.0.0.1', 'robot', pod.metadata?.uid],
    ]);
    expect(shown('IP')).toBe(pod.status?.podIP);
    // Without a limit it is what the node has to give.
    expect(Number(shown('CPUS'))).toBeGreaterThanOrEqual(1);
    expect(Number(shown('MEMORY'))).toBeGreaterThan(2 ** 30);
    expect([await written(pod, 'word'), await written(pod, 'secret')]).toEqual(['mapped', 'hidden']);
    const review = { spec: { token: await written(pod, 'token'), audiences: ['vault'] } };
    const { body } = await cluster.api('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review);
    expect(body).toMatchObject({
      status: {
        authenticated: true,
        user: {
          username: 'system:serviceaccount:default:robot',
          extra: { 'authentication.kubernetes.io/pod-name': ['rich'] },
        },
      },
    });
    await node.delete('rich');
    await node.untilGone('rich');
  });

  test('a runtime class that nobody has, and what is missing, are told on the pod; both may come later', async () => {
    await make('/apis/node.k8s.io/v1/runtimeclasses', { metadata: { name: 'none' }, handler: 'no-such-handler' });
    await node.create(node.pod('classless', { runtimeClassName: 'none' }));
    await node.create(
      node.pod('late', {}, { envFrom: [{ configMapRef: { name: 'not-yet' } }], command: ['sleep', '1000000'] }),
    );
    await node.untilPod('says what is missing', 'late', ({ status }) => {
      const waiting = status?.containerStatuses?.[0]?.state?.waiting;
      return waiting?.reason === 'CreateContainerConfigError' && waiting.message === 'configmap "not-yet" not found';
    });
    await make('/api/v1/namespaces/default/configmaps', { metadata: { name: 'not-yet' }, data: { a: 'b' } });
    await node.untilReady('late');
    await cluster.until('the event tells of the handler', async () => {
      const path = '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=classless';
      const items = (await cluster.api('GET', path)).body['items'] as { reason: string; message: string }[];
      return (
        items.some(
          ({ reason, message }) => reason === 'FailedCreatePodSandBox' && message.includes('no-such-handler'),
        ) || undefined
      );
    });
    for (const name of ['classless', 'late']) await node.delete(name);
    for (const name of ['classless', 'late']) await node.untilGone(name);
  });

  test('the node has the taint it was to register with, and names the volumes that must stay attached', async () => {
    const own = async (): Promise<Node> => (await cluster.api('GET', `/api/v1/nodes/${node.name}`)).body;
    const { spec, status } = await own();
    expect(spec?.taints).toContainEqual(expect.objectContaining({ key: 'example.com/new', value: 'yes' }));
    expect(status?.volumesInUse).toBeUndefined();
    const { controlPlane } = run.agent;
    let inUse = ['kubernetes.io/csi/example.com^one'];
    controlPlane.followVolumesInUse(() => inUse);
    await controlPlane.reportVolumesInUse(new AbortController().signal);
    // Known before anything of the volume is touched, and not at the next round.
    expect((await own()).status?.volumesInUse).toEqual(inUse);
    inUse = [];
    await cluster.until('it may be detached', async () => ((await own()).status?.volumesInUse ? undefined : true));
  });
});
