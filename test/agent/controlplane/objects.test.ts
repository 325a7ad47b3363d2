import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Event, Node, Pod } from '../../../agent/api/index.js';
import type { CredentialProviderConfig } from '../../../agent/config/credential-providers.js';
import { sampleImage } from '../agent-world.js';
import { missingProgram } from '../../cri/embedded/images/temp-store.js';
import { login, TestRegistry } from '../../support/test-registry.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';
import { NodeWorld, type ClusterNode } from './cluster-world.js';

const audience = 'registry.example.com';
const providerVersion = 'credentialprovider.kubelet.k8s.io/v1';
const missing = await missingProgram('skopeo', 'docker-registry', 'htpasswd');

/** What a pod of a cluster gets from other objects there, as its containers see it. */
describe.runIf(hasControlPlane())('objects of a real cluster in a container', () => {
  let cluster: TestControlPlane;
  let node: NodeWorld;
  let run: ClusterNode;
  let registry: TestRegistry | undefined;
  beforeAll(async () => {
    cluster = await TestControlPlane.start();
    if (missing === undefined) registry = await TestRegistry.open({ auth: true });
    const insecureRegistries = registry ? [registry.host] : [];
    node = await NodeWorld.open(cluster, undefined, (config) => {
      const images = { credentialProviders: [provider()], pullRate: undefined, verification: undefined };
      return { ...config, runtime: { ...config.runtime, insecureRegistries }, images };
    });
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
    run = await node.start({ taints: [taint], statusEveryMs: 500, externalCloudProvider: true });
    const annotations = { 'example.com/pulls': 'own', 'example.com/other': 'kept here' };
    await make('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'robot', annotations } });
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
    // Those who admit pods learn of a class a little after it was made.
    await cluster.until('pods may have the class', async () => {
      const tried = node.pod('tried', { priorityClassName: 'urgent' });
      const { status } = await cluster.api('POST', '/api/v1/namespaces/default/pods?dryRun=All', tried, [403]);
      return status === 201 || undefined;
    });
  });
  afterAll(async () => {
    await run?.[Symbol.asyncDispose]();
    await node?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  /** Asked for what pods of marked accounts pull, with a token of theirs for the registry. */
  const provider = (): CredentialProviderConfig => ({
    name: 'by-account',
    program: join(cluster.dir, 'by-account'),
    matchImages: [`${registry?.host ?? 'none.example.com'}/team/own`],
    defaultCacheMs: 0,
    apiVersion: providerVersion,
    args: [],
    env: {},
    token: {
      audience,
      requireServiceAccount: true,
      cacheType: 'Token',
      requiredAnnotations: ['example.com/pulls'],
      optionalAnnotations: ['example.com/absent'],
    },
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

  const why = `an image that only a pull secret gets (missing: ${missing ?? 'nothing'})`;
  test.skipIf(missing !== undefined)(
    `${why}: told which secret there is not, and pulled once it is there`,
    async () => {
      const { host = '' } = registry ?? {};
      const archive = join(node.world.dir, 'box.tar');
      await makeBusyboxImage({ path: archive, reference: 'box:1' });
      await registry?.push(`oci-archive:${archive}`, 'team/box:1');
      const image = `${host}/team/box:1`;
      await node.create(node.pod('private', { imagePullSecrets: [{ name: 'registry' }] }, { image }));
      // A server that has yet to learn that the pod is this node's refuses to tell of its Secrets, and is asked again.
      await node.untilPod('says that it is not pulled, and why', 'private', ({ status }) => {
        const { reason = '', message = '' } = status?.containerStatuses?.[0]?.state?.waiting ?? {};
        return /^(ErrImagePull|ImagePullBackOff)$/.test(reason) && message.includes('there is no Secret registry');
      });
      const path = '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=private';
      await cluster.until('its event', async () => {
        const events = (await cluster.api('GET', path)).body['items'] as Event[];
        return events.some(({ reason }) => reason === 'FailedToRetrieveImagePullSecret') || undefined;
      });
      // As `kubectl create secret docker-registry` makes it.
      const auth = Buffer.from(`${login.username}:${login.password}`).toString('base64');
      const data = {
        '.dockerconfigjson': Buffer.from(JSON.stringify({ auths: { [host]: { auth } } })).toString('base64'),
      };
      const secret = { metadata: { name: 'registry' }, type: 'kubernetes.io/dockerconfigjson', data };
      await make('/api/v1/namespaces/default/secrets', secret);
      await node.untilReady('private');
      await node.delete('private');
      await node.untilGone('private');
    },
  );

  test.skipIf(missing !== undefined)(
    `an image that a program gets with a token of the pod's account (missing: ${missing ?? 'nothing'})`,
    async () => {
      const { host = '' } = registry ?? {};
      const archive = join(cluster.dir, 'own.tar');
      await makeBusyboxImage({ path: archive, reference: 'own:1' });
      await registry?.push(`oci-archive:${archive}`, 'team/own:1');
      const { username, password } = login;
      const auth = { [host]: { username, password } };
      const answer = { kind: 'CredentialProviderResponse', apiVersion: providerVersion, cacheKeyType: 'Image', auth };
      const asked = join(cluster.dir, 'by-account.asked');
      const script = `#!/bin/sh\ncat > ${asked}.tmp && mv ${asked}.tmp ${asked}\necho '${JSON.stringify(answer)}'\n`;
      await writeFile(join(cluster.dir, 'by-account'), script, { mode: 0o755 });
      // A node may ask for tokens that no volume of the pod asks for only where an administrator allowed it.
      await make('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
        metadata: { name: 'tokens-for-registries' },
        rules: [
          { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get'] },
          { apiGroups: [''], resources: [audience], verbs: ['request-serviceaccounts-token-audience'] },
        ],
      });
      await cluster.bind('system:nodes', 'tokens-for-registries');
      await node.create(node.pod('owned', { serviceAccountName: 'robot' }, { image: `${host}/team/own:1` }));
      await node.untilReady('owned');
      const question = JSON.parse(await readFile(asked, 'utf8')) as Record<string, unknown>;
      expect(question).toMatchObject({
        image: `${host}/team/own`,
        serviceAccountAnnotations: { 'example.com/pulls': 'own' },
      });
      expect(Object.keys(question['serviceAccountAnnotations'] ?? {})).toEqual(['example.com/pulls']);
      const spec = { token: question['serviceAccountToken'], audiences: [audience] };
      const review = (await cluster.api('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec })).body;
      expect(review['status']).toMatchObject({
        authenticated: true,
        audiences: [audience],
        user: {
          username: 'system:serviceaccount:default:robot',
          extra: { 'authentication.kubernetes.io/pod-name': ['owned'] },
        },
      });
      expect(run.log.text).not.toContain(String(question['serviceAccountToken']));
      await node.delete('owned');
      await node.untilGone('owned');
    },
  );

  test('events that differ in their words only become one', async () => {
    const readinessProbe = { exec: { command: ['sh', '-c', 'cat /proc/uptime; exit 1'] }, periodSeconds: 1 };
    const container = { image: sampleImage, command: ['sleep', '1000000'], readinessProbe };
    const containers = ['a', 'b', 'c'].map((name) => ({ name, ...container }));
    await node.create(node.pod('restless', { containers }));
    const path = '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=restless,reason=Unhealthy';
    const combined = /^\(combined from similar events\): Readiness probe failed: \d/;
    const told = await cluster.until('they are told as one', async () => {
      const events = (await cluster.api('GET', path)).body['items'] as Event[];
      return events.some(({ message = '', count = 0 }) => combined.test(message) && count > 1) ? events : undefined;
    });
    const messages = told.map(({ message = '' }) => message);
    expect(messages.filter((each) => combined.test(each))).toHaveLength(1);
    // Two containers may say the same words.
    expect(new Set(messages.filter((each) => !combined.test(each))).size).toBe(9);
    await node.delete('restless');
    await node.untilGone('restless');
  });

  test('the node has the taints it was to register with, and names the volumes that must stay attached', async () => {
    const own = async (): Promise<Node> => (await cluster.api('GET', `/api/v1/nodes/${node.name}`)).body;
    const { spec, status } = await own();
    expect(spec?.taints).toContainEqual(expect.objectContaining({ key: 'example.com/new', value: 'yes' }));
    expect(spec?.taints).toContainEqual(
      expect.objectContaining({ key: 'node.cloudprovider.kubernetes.io/uninitialized' }),
    );
    expect(status?.volumesInUse).toBeUndefined();
    // As a cloud's controller does once it knows the machine.
    const addresses = [...(status?.addresses ?? []), { type: 'InternalIP', address: 'fd00::7' }];
    expect(addresses.map(({ type }) => type)).toEqual(['InternalIP', 'Hostname', 'InternalIP']);
    await cluster.api('PATCH', `/api/v1/nodes/${node.name}/status`, { status: { addresses } });
    // Pods are told of the addresses that the cloud told of.
    await node.create(node.pod('addressed', { hostNetwork: true }));
    const hostIps = ['127.0.0.1', 'fd00::7'].map((ip) => ({ ip }));
    const isTold = (pod: Pod): boolean => JSON.stringify(pod.status?.hostIPs) === JSON.stringify(hostIps);
    const addressed = await node.untilPod('is told both addresses', 'addressed', isTold);
    expect(addressed.status?.podIPs).toEqual(hostIps);
    await node.delete('addressed');
    await node.untilGone('addressed');
    const { controlPlane } = run.agent;
    let inUse = ['kubernetes.io/csi/example.com^one'];
    controlPlane.followVolumesInUse(() => inUse);
    await controlPlane.reportVolumesInUse(new AbortController().signal);
    // Known before anything of the volume is touched, and not at the next round.
    expect((await own()).status?.volumesInUse).toEqual(inUse);
    inUse = [];
    await cluster.until('it may be detached', async () => ((await own()).status?.volumesInUse ? undefined : true));
    // The whole status was written, and what is the cloud's to tell was left to it.
    expect((await own()).status?.addresses).toEqual(addresses);
  });

  test('what an operator says that the node has may be allocated, and pods get it, as much as there is', async () => {
    const own = async (): Promise<Node> => (await cluster.api('GET', `/api/v1/nodes/${node.name}`)).body;
    const dongles = async (): Promise<unknown> => (await own()).status?.allocatable?.['example.com/dongle'] ?? 'none';
    // As documented under "Advertise Extended Resources for a Node".
    const advertise = (amount: string | null): Promise<unknown> =>
      cluster.api('PATCH', `/api/v1/nodes/${node.name}/status`, {
        status: { capacity: { 'example.com/dongle': amount } },
      });
    await advertise('4');
    await cluster.until('they may be allocated', async () => (await dongles()) === '4' || undefined);
    await node.create(node.pod('plugged', {}, { resources: { limits: { 'example.com/dongle': '3' } } }));
    await node.untilReady('plugged');
    // Placed by hand, so that no scheduler keeps it away.
    await node.create(node.pod('one-too-many', {}, { resources: { limits: { 'example.com/dongle': '2' } } }));
    const { status } = await node.untilPod('is refused', 'one-too-many', (pod) => pod.status?.phase === 'Failed');
    expect(status?.reason).toBe('OutOfexample.com/dongle');
    expect(status?.message).toBe(
      "Pod was rejected: Node didn't have enough resource: example.com/dongle, requested: 2, used: 3, capacity: 4",
    );
    for (const name of ['plugged', 'one-too-many']) {
      await node.delete(name);
      await node.untilGone(name);
    }
    await advertise(null);
    await cluster.until('there are none any more', async () => (await dongles()) === 'none' || undefined);
    // What no node has of its own may be the whole cluster's.
    await node.create(node.pod('unplugged', {}, { resources: { limits: { 'example.com/dongle': '2' } } }));
    await node.untilReady('unplugged');
    await node.delete('unplugged');
    await node.untilGone('unplugged');
  });

  test('how the program that gives the credentials does is counted', () => {
    const samples = run.agent.controlPlane.counts?.flatMap((each) => each.snapshot().values) ?? [];
    const of = (name: string) => samples.filter(({ metricName }) => metricName === name);
    expect(of('rest_client_exec_plugin_call_total').map(({ labels }) => labels)).toEqual([
      { call_status: 'no_error', code: '0' },
    ]);
    expect(of('rest_client_exec_plugin_ttl_seconds')[0]?.value).toBeGreaterThan(0);
    expect(of('rest_client_exec_plugin_ttl_seconds')[0]?.value).toBeLessThan(Infinity);
  });
});
