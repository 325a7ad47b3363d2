import { execFile } from 'node:child_process';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Node, Pod } from '../../../agent/api/index.js';
import type { PodCertificateRequest } from '../../../agent/controlplane/certificate-objects.js';
import { makeKeyAndProof, podKeyTypes } from '../../../agent/controlplane/certificates/index.js';
import type { KubernetesControlPlane } from '../../../agent/controlplane/kubernetes/kubernetes-control-plane.js';
import { systemClock, type Clock } from '../../../base/clock.js';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';
import { mainId, NodeWorld, whyOf, type ClusterNode } from './cluster-world.js';

const run = promisify(execFile);
const core = '/api/v1/namespaces/default';
const certificates = '/apis/certificates.k8s.io/v1beta1';
const signer = 'example.com/pods';
/** Longer than the pace of heartbeats here, and what a delay between two tries soon grows to. */
const longMs = 3000;
const blocks = (pem: string): string[] => pem.match(/-----BEGIN [^]*?-----END [^\n]*\n/g) ?? [];

/** What pods and the node prove themselves with, and whom they trust: how it comes, ages, and is taken away. */
describe.runIf(hasControlPlane())('credentials from a real cluster', () => {
  let cluster: TestControlPlane;
  let node: NodeWorld;
  let agent: ClusterNode;
  let offsetMs = 0;
  beforeAll(async () => {
    const gates = ['ClusterTrustBundle', 'ClusterTrustBundleProjection', 'PodCertificateRequest'];
    cluster = await TestControlPlane.start({
      apiServerFlags: [
        `--feature-gates=${gates.map((gate) => `${gate}=true`).join(',')}`,
        '--runtime-config=certificates.k8s.io/v1beta1=true',
      ],
    });
    node = await NodeWorld.open(cluster);
    await cluster.api('POST', `${core}/serviceaccounts`, { metadata: { name: 'robot' } });
    await cluster.api('POST', `${core}/configmaps`, { metadata: { name: 'map' }, data: { word: 'first' } });
    agent = await node.start({}, { ...systemClock, now: () => Date.now() + offsetMs });
  });
  afterAll(async () => {
    await agent?.[Symbol.asyncDispose]();
    await node?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  /** A pod that mounts `sources` at /all. */
  const projected = (name: string, sources: readonly object[]): Promise<Pod> =>
    node.create(
      node.pod(
        name,
        { serviceAccountName: 'robot', volumes: [{ name: 'all', projected: { sources } }] },
        { volumeMounts: [{ name: 'all', mountPath: '/all' }] },
      ),
    );
  const file = async ({ metadata }: Pod, path: string): Promise<string> => {
    const volumes = join(node.world.config.paths.rootDir, 'pods', metadata?.uid ?? '', 'volumes');
    return await readFile(join(volumes, 'kubernetes.io~projected/all', path), 'utf8');
  };
  /** What is read in the moment at which a volume is exchanged may be gone. */
  const untilFile = (what: string, pod: Pod, path: string, holds: (text: string) => boolean): Promise<true> =>
    cluster.until(what, async () => holds(await file(pod, path).catch(() => '')) || undefined);
  /** Something in the volume changes, and the agent looks at all of it. */
  const touch = async (pod: Pod, word: string): Promise<void> => {
    await cluster.api('PATCH', `${core}/configmaps/map`, { data: { word } });
    await untilFile('the change is there', pod, 'word', (text) => text === word);
  };
  const waits = async (name: string, words: string): Promise<void> => {
    const told = (): boolean =>
      agent.agent
        .pods()
        .some(({ pod, waits }) => pod?.metadata?.name === name && JSON.stringify(waits).includes(words));
    await cluster
      .until(`pod ${name} waits for ${words}`, async () => told() || undefined)
      .catch((err: unknown) => {
        const waits = agent.agent.pods().map((each) => each.waits);
        throw new Error(`${String(err)}\n${JSON.stringify(waits)}\n${agent.log.text.slice(-3000)}`, { cause: err });
      });
  };
  const end = async (...names: readonly string[]): Promise<void> => {
    for (const name of names) await node.delete(name);
    for (const name of names) await node.untilGone(name);
  };

  test('trust bundles by name and by signer are read and followed; what is missing is waited for by name', async () => {
    const bundle = async (name: string, signerName: string, labels: object, trustBundle: string): Promise<unknown> =>
      cluster.api('POST', `${certificates}/clustertrustbundles`, {
        apiVersion: 'certificates.k8s.io/v1beta1',
        kind: 'ClusterTrustBundle',
        metadata: { name, labels },
        spec: { ...(signerName !== '' && { signerName }), trustBundle },
      });
    const [second, third] = [await authority('two'), await authority('three')];
    await bundle('example.com:pods:live', signer, { live: 'yes' }, `${cluster.caCert}${second}`);
    await bundle('example.com:pods:old', signer, { live: 'no' }, third);
    const labelSelector = { matchLabels: { live: 'yes' } };
    const pod = await projected('trusting', [
      { clusterTrustBundle: { name: 'named', path: 'named.pem' } },
      { clusterTrustBundle: { signerName: signer, labelSelector, path: 'signer/live.pem' } },
      { clusterTrustBundle: { name: 'nobody-has-it', optional: true, path: 'optional.pem' } },
    ]);
    await waits('trusting', 'clustertrustbundle \\"named\\" not found');
    await bundle('named', '', {}, `# of the house\n${third}`);
    await node.untilReady('trusting');
    expect(await file(pod, 'named.pem')).toBe(third);
    expect(new Set(blocks(await file(pod, 'signer/live.pem')))).toEqual(new Set([cluster.caCert, second]));
    expect(await file(pod, 'optional.pem')).toBe('');
    const change = { spec: { trustBundle: second } };
    await cluster.api('PATCH', `${certificates}/clustertrustbundles/example.com:pods:live`, change);
    await untilFile('the change is there', pod, 'signer/live.pem', (text) => text === second);
    await end('trusting');
  });

  test('a certificate of a pod: asked for, told what is waited for, issued, renewed in time, and denied', async () => {
    // The two RSA types differ in a number only, and the larger one takes its time.
    for (const type of podKeyTypes.filter((each) => each !== 'RSA4096')) {
      const { request } = await makeKeyAndProof(type);
      const path = join(cluster.dir, 'proof.der');
      await writeFile(path, request);
      await run('openssl', ['req', '-inform', 'DER', '-in', path, '-verify', '-noout']);
    }
    const source = (signerName: string): object => ({
      podCertificate: { signerName, keyType: 'ECDSAP384', credentialBundlePath: 'both.pem', keyPath: 'key.pem' },
    });
    const pod = await projected('proven', [source(signer), { configMap: { name: 'map' } }]);
    await waits('proven', `signer ${signer} has not decided PodCertificateRequest default/req-`);
    const first = await request('proven');
    expect(first.spec).toMatchObject({ podUID: pod.metadata?.uid, nodeName: node.name, serviceAccountName: 'robot' });
    await issue(first);
    const before = await node.untilReady('proven');
    const both = await file(pod, 'both.pem');
    const [key = '', leaf = ''] = blocks(both);
    expect(await file(pod, 'key.pem')).toBe(key);
    expect(new X509Certificate(leaf).checkPrivateKey(createPrivateKey(key))).toBe(true);

    // Its time to be renewed has come, and the agent looks because something else of it changes.
    offsetMs = 30 * 60_000;
    await touch(pod, 'again');
    const second = await request('proven', first.metadata?.name);
    expect(await file(pod, 'both.pem')).toBe(both);
    await issue(second);
    await untilFile('the new one is there', pod, 'both.pem', (text) => text !== '' && text !== both);
    expect(mainId(await node.untilReady('proven'))).toBe(mainId(before));
    offsetMs = 0;

    await projected('suspect', [source('example.com/strict')]);
    const denied = await request('suspect');
    const no = { type: 'Denied', status: 'True', reason: 'Unknown', message: 'nobody knows this pod' };
    await answer(denied, { conditions: [{ ...no, lastTransitionTime: new Date().toISOString() }] });
    await waits('suspect', 'was denied, reason=\\"Unknown\\", message=\\"nobody knows this pod\\"');
    await end('proven', 'suspect');
  });

  /** A certificate that signs itself, as a bundle holds them. */
  const authority = async (name: string): Promise<string> => {
    const args = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null'];
    const { stdout } = await run('openssl', ['req', ...args, '-subj', `/CN=${name}`]);
    return blocks(stdout).at(-1) ?? '';
  };
  /** The newest request of a pod that nobody has decided. */
  const request = (podName: string, notThis?: string): Promise<PodCertificateRequest> =>
    cluster.until(`a request of ${podName}`, async () => {
      const { body } = await cluster.api('GET', `${certificates}/namespaces/default/podcertificaterequests`);
      return (body['items'] as PodCertificateRequest[]).find(
        ({ metadata, spec, status }) =>
          spec.podName === podName && metadata?.name !== notThis && (status?.conditions ?? []).length === 0,
      );
    });
  const answer = ({ metadata }: PodCertificateRequest, status: object): Promise<unknown> =>
    cluster.api('PATCH', `${certificates}/namespaces/default/podcertificaterequests/${metadata?.name}/status`, {
      status,
    });
  /** Signs with the cluster's authority, which checks the proof as well. */
  const issue = async (asked: PodCertificateRequest): Promise<void> => {
    const path = join(cluster.dir, `${asked.metadata?.name}.der`);
    await writeFile(path, Buffer.from(asked.spec.stubPKCS10Request, 'base64'));
    const authority = ['-CA', join(cluster.dir, 'ca.crt'), '-CAkey', join(cluster.dir, 'ca.key'), '-CAcreateserial'];
    const { stdout } = await run('openssl', [
      'x509',
      '-req',
      '-inform',
      'DER',
      '-in',
      path,
      ...authority,
      '-days',
      '1',
    ]);
    const { validFrom, validTo } = new X509Certificate(stdout);
    const [notBefore, notAfter] = [Date.parse(validFrom), Date.parse(validTo)];
    const at = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
    await answer(asked, {
      conditions: [{ type: 'Issued', status: 'True', reason: 'R', message: 'M', lastTransitionTime: at(Date.now()) }],
      certificateChain: stdout,
      notBefore: at(notBefore),
      beginRefreshAt: at(notBefore + 11 * 60_000),
      notAfter: at(notAfter),
    });
  };

  test('a token is renewed before it ends; of a deleted account the old one serves, and new pods are told', async () => {
    const sources = [
      { configMap: { name: 'map' } },
      { serviceAccountToken: { path: 'token', audience: 'vault', expirationSeconds: 600 } },
    ];
    const pod = await projected('bearer', sources);
    const before = await node.untilReady('bearer');
    const first = await file(pod, 'token');
    expect(await reviewed(first)).toBe(true);
    await touch(pod, 'two');
    expect(await file(pod, 'token')).toBe(first);
    offsetMs = 481_000;
    await touch(pod, 'three');
    const second = await file(pod, 'token');
    expect(second).not.toBe(first);
    expect([await reviewed(first), await reviewed(second)]).toEqual([true, true]);

    await cluster.api('DELETE', `${core}/serviceaccounts/robot`);
    // It was to be renewed by now, and holds for a while yet.
    offsetMs = 511_000;
    await touch(pod, 'four');
    expect(await file(pod, 'token')).toBe(second);
    expect(agent.log.text).toContain('token of a pod could not be renewed; the one it has still holds');
    await projected('orphan', sources);
    await waits('orphan', 'serviceaccounts \\"robot\\" not found');
    await cluster.api('POST', `${core}/serviceaccounts`, { metadata: { name: 'robot' } });
    await node.untilReady('orphan');
    expect(mainId(await node.untilReady('bearer'))).toBe(mainId(before));
    offsetMs = 0;
    await end('bearer', 'orphan');
  });
  const reviewed = async (token: string): Promise<boolean> => {
    const review = { spec: { token, audiences: ['vault'] } };
    const { body } = await cluster.api('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review);
    return (body as { status: { authenticated?: boolean } }).status.authenticated === true;
  };

  test('rights that are taken away, then the user itself: told on the node, nothing is touched, all comes back at once', async () => {
    await using other = await NodeWorld.open(cluster);
    const user = { name: `agent-of-${other.name}`, namespace: 'default' };
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const allow = (role: string): Promise<unknown> =>
      cluster.api('POST', `${rbac}/clusterrolebindings`, {
        metadata: { name: `${user.name}-${role}` },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects: [{ kind: 'ServiceAccount', ...user }],
      });
    const deny = (role: string): Promise<unknown> =>
      cluster.api('DELETE', `${rbac}/clusterrolebindings/${user.name}-${role}`);
    await cluster.api('POST', `${rbac}/clusterroles`, {
      metadata: { name: 'all-but-pods' },
      rules: ['coordination.k8s.io', 'storage.k8s.io']
        .map((group) => ({ apiGroups: [group], resources: ['*'], verbs: ['*'] }))
        .concat({ apiGroups: [''], resources: ['nodes', 'nodes/status', 'services', 'events'], verbs: ['*'] }),
    });
    const tokenFile = join(other.world.dir, 'token');
    const enroll = async (): Promise<void> => {
      await cluster.api('POST', `${core}/serviceaccounts`, { metadata: { name: user.name } });
      const { body } = await cluster.api('POST', `${core}/serviceaccounts/${user.name}/token`, { spec: {} });
      await writeFile(tokenFile, (body as { status: { token: string } }).status.token);
    };
    await enroll();
    await allow('all-but-pods');
    other.kubeconfig = await cluster.kubeconfig(user.name, { tokenFile });
    /** Stretches long delays, so that whoever goes on before they are over was woken. */
    let patience = 1;
    const sleep: Clock['sleep'] = (ms, signal) => systemClock.sleep(ms < longMs ? ms : ms * patience, signal);
    await using run = await other.start({ leaseSeconds: 4, statusEveryMs: 500 }, { ...systemClock, sleep });
    const told = async (words: RegExp, logged = words): Promise<void> => {
      const look = (): Promise<string> => whyOf(run.agent, 'steady');
      await cluster
        .until(`${String(words)} is told`, async () => words.test(await look()) || undefined)
        .catch(async (err: unknown) => {
          throw new Error(`${String(err)}\n${await look()}\n${run.log.text.slice(-3000)}`, { cause: err });
        });
      expect(run.log.text).toMatch(logged);
    };
    const triesOfPods = (): readonly number[] =>
      [...run.log.text.matchAll(/"path":"\/api\/v1\/pods".*"retryInMs":(\d+)/g)].map(([, retryInMs]) =>
        Number(retryInMs),
      );
    /** Until the agent would not look at its pods for minutes, were there no reason to. */
    const patient = async (): Promise<void> => {
      const before = triesOfPods().length;
      patience = 50;
      await cluster.until(
        'it has been refused for a while',
        async () =>
          triesOfPods()
            .slice(before)
            .some((retryInMs) => retryInMs >= longMs) || undefined,
      );
    };
    const sees = (name: string): Promise<true> =>
      cluster.until(
        `the agent sees ${name}`,
        async () => run.agent.pods().some(({ pod }) => pod?.metadata?.name === name) || undefined,
      );
    /** What was allowed when it began goes on: a connection that breaks is how what changed is met. */
    const breakConnections = (): void =>
      (run.agent.controlPlane as KubernetesControlPlane).client.reset('the connection broke');
    await other.create(other.pod('steady'));
    const unseen = /the pods of node \S+ cannot be watched: .* 403 .* cannot list resource "pods"/;
    await told(unseen, /403 .* cannot list resource .*pods of this node cannot be watched/);
    await cluster.until('the node says so', async () => {
      const shown = await cluster.find<Node>(`/api/v1/nodes/${other.name}`);
      return unseen.test(shown?.status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '') || undefined;
    });
    await allow('cluster-admin');
    const before = await other.untilReady('steady');

    for (const role of ['cluster-admin', 'all-but-pods']) await deny(role);
    breakConnections();
    await told(/403 .* cannot (update|patch|list|get) resource/);
    // The server remembers for some seconds whose token it was.
    await cluster.api('DELETE', `${core}/serviceaccounts/${user.name}`);
    await told(/401 Unauthorized/);
    expect(run.agent.pods().some(({ status }) => status?.phase === 'Running')).toBe(true);
    await other.create(other.pod('later'));
    await allow('cluster-admin');
    await patient();
    await enroll();
    await sees('later');
    patience = 1;
    await other.untilReady('later');
    await cluster.until('all is well', async () => run.agent.clusterProblems().length === 0 || undefined);
    expect(await whyOf(run.agent, 'steady')).not.toContain('its cluster');
    expect(mainId(await other.untilReady('steady'))).toBe(mainId(before));
    for (const name of ['steady', 'later']) await other.delete(name);
    for (const name of ['steady', 'later']) await other.untilGone(name);
  });
});
