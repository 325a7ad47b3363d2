import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { runProgram } from '../../../base/run-program.js';
import {
  CertificateStore,
  makeCertificate,
  makeKey,
  parseHeld,
  rotatingServingCertificate,
  type HeldCertificate,
} from '../../../agent/controlplane/certificates/index.js';
import { ApiClient, readKubeconfig } from '../../../agent/controlplane/kubernetes/client/index.js';
import type { CertificateSigningRequest } from '../../../agent/api/index.js';
import { sampleImage } from '../agent-world.js';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';
import { inlineUser } from '../../support/kubeconfig.js';
import { mainId, NodeWorld, told, whyOf, type ClusterNode } from './cluster-world.js';

const requestsPath = '/apis/certificates.k8s.io/v1/certificatesigningrequests';

describe.runIf(hasControlPlane())('certificates that a real cluster issues', () => {
  let cluster: TestControlPlane;
  let bootstrapKubeconfig: string;
  beforeAll(async () => {
    cluster = await TestControlPlane.start({
      controllerManager: true,
      controllerManagerFlags: ['--cluster-signing-duration=20s'],
    });
    bootstrapKubeconfig = await cluster.bootstrapKubeconfig();
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  const current = async (certDir: string): Promise<HeldCertificate | undefined> =>
    parseHeld(await readFile(join(certDir, 'kubelet-client-current.pem'), 'utf8').catch(() => ''));

  test('a bootstrap token becomes a certificate that is renewed in time, and again after it expired while off', async () => {
    await using node = await NodeWorld.open(cluster);
    node.kubeconfig = join(node.world.dir, 'kubelet.kubeconfig');
    const certDir = join(node.world.dir, 'pki');
    const settings = { bootstrapKubeconfig, certDir, rotateCertificates: true };
    // As a machine leaves it that lost its power while it was written.
    await writeFile(node.kubeconfig, '');
    const first = await node.start(settings);
    await node.create(node.pod('trusted'));
    const pod = await node.untilReady('trusted', 60_000);
    const held = await cluster.until('the certificate', async () => await current(certDir));
    expect(held.leaf.subject).toBe(`O=system:nodes\nCN=system:node:${node.name}`);
    expect(await readlink(join(certDir, 'kubelet-client-current.pem'))).toMatch(/kubelet-client-\d{4}-.*\.pem$/);
    expect((await readKubeconfig(node.kubeconfig)).clientCertificate).toEqual({
      kind: 'file',
      path: join(certDir, 'kubelet-client-current.pem'),
    });

    const renewed = await cluster.until(
      'a new certificate',
      async () => {
        const now = await current(certDir);
        return now && now.leaf.serialNumber !== held.leaf.serialNumber ? now : undefined;
      },
      60_000,
    );
    const share = (Date.now() - held.notBefore) / (held.notAfter - held.notBefore);
    expect(share).toBeGreaterThan(0.6);
    await cluster.until('the one before is removed', async () =>
      (await readdir(certDir)).filter((name) => /\d{4}/.test(name)).length === 1 ? true : undefined,
    );
    await first[Symbol.asyncDispose]();

    await cluster.until(
      'it has expired while the agent was off',
      async () => (Date.now() > renewed.notAfter + 1000 ? true : undefined),
      60_000,
    );
    await using second = await node.start(settings);
    await cluster.until(
      'a certificate that holds',
      async () => {
        const now = await current(certDir);
        return now && now.notAfter > Date.now() ? true : undefined;
      },
      60_000,
    );
    await cluster.api('PATCH', '/api/v1/namespaces/default/pods/trusted', { metadata: { labels: { seen: 'again' } } });
    await cluster.until('the agent sees its pods again', async () =>
      second.agent.pods().some((each) => each.pod?.metadata?.labels?.['seen'] === 'again') ? true : undefined,
    );
    const after = await node.untilReady('trusted');
    expect(mainId(after)).toBe(mainId(pod));
    expect(after.status?.containerStatuses?.[0]?.restartCount).toBe(0);
    await node.delete('trusted');
    await node.untilGone('trusted');
  }, 180_000);

  test('an agent that is started anew while its first certificate waits for approval finds its request again', async () => {
    await using node = await NodeWorld.open(cluster);
    await cluster.bind('slow-bootstrappers', 'system:node-bootstrapper');
    // What these ask for is approved by people only.
    const slow = inlineUser(await cluster.identity(`slow-${node.name}`, ['slow-bootstrappers']));
    const certDir = join(node.world.dir, 'pki');
    const kept = join(certDir, 'kubelet-client.key.tmp');
    const settings = { bootstrapKubeconfig: await cluster.kubeconfig('slow', slow), certDir, rotateCertificates: true };
    node.kubeconfig = join(node.world.dir, 'kubelet.kubeconfig');
    const first = await node.start(settings);
    const asked = async (): Promise<CertificateSigningRequest[]> => {
      const { body } = await cluster.api('GET', requestsPath);
      const items = body['items'] as CertificateSigningRequest[];
      return items.filter(({ spec }) => spec.username === `slow-${node.name}`);
    };
    const [request] = await cluster.until('a request', async () =>
      (await asked()).length > 0 ? await asked() : undefined,
    );
    expect(request?.metadata?.name).toMatch(/^node-csr-[\w-]{43}$/);
    expect((await stat(kept)).mode & 0o777).toBe(0o600);
    await first[Symbol.asyncDispose]();
    const second = await node.start(settings);
    await cluster.until('it is taken up', async () =>
      second.log.text.includes(`"request":"${request?.metadata?.name}"`) ? true : undefined,
    );
    expect((await asked()).map(({ metadata }) => metadata?.uid)).toEqual([request?.metadata?.uid]);
    await approveRequest(cluster, request as CertificateSigningRequest);
    await cluster.until('the certificate', async () => await current(certDir));
    await cluster.until('the key is kept no longer', async () => (existsSync(kept) ? undefined : true));
  }, 180_000);

  test('a serving certificate is asked for, waits for its approval, and follows the addresses', async () => {
    const name = 'serving-node';
    await cluster.api('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    const kubeconfig = await cluster.kubeconfig('serving', inlineUser(await cluster.nodeIdentity(name)));
    const deps = { clock: systemClock, log: silentLogger, run: runProgram };
    await using api = new ApiClient(await readKubeconfig(kubeconfig), { userAgent: 'test' }, deps);
    let addresses = ['10.1.1.1'];
    const store = new CertificateStore(join(cluster.dir, 'serving-pki'), 'kubelet-server');
    await using serving = rotatingServingCertificate(name, {
      ...deps,
      api,
      store,
      names: () => ({ dnsNames: [name], addresses }),
    });
    const changes: string[] = [];
    using _listener = serving.onChange((held) => changes.push(held.leaf.subjectAltName ?? ''));
    await serving.start();
    await approve(cluster, name);
    await cluster.until('the certificate', async () => (changes.length === 1 ? true : undefined));
    expect(changes[0]).toBe(`DNS:${name}, IP Address:10.1.1.1`);
    expect(serving.current?.leaf.issuer).toBe('CN=berth-test-authority');
    addresses = ['10.1.1.2'];
    serving.check();
    // Certificates of seconds are renewed all the time: a request with the old address may be left behind, undecided, or answered before.
    const next = `DNS:${name}, IP Address:10.1.1.2`;
    await cluster.until('a certificate with the new address', async () => {
      for (const request of await undecided(cluster, name)) await approveRequest(cluster, request);
      return changes.at(-1) === next ? true : undefined;
    });
    expect(changes.length).toBeLessThan(6);
  });

  test('a certificate that expires while the agent runs is told by name; a new one in its place is taken', async () => {
    await using node = await NodeWorld.open(cluster);
    const files = { cert: join(node.world.dir, 'node.crt'), key: join(node.world.dir, 'node.key') };
    const write = async (validForMs?: number): Promise<void> => {
      const { cert, key } = await cluster.nodeIdentity(node.name, validForMs);
      await writeFile(files.key, key);
      await writeFile(files.cert, cert);
    };
    await write();
    const user = { 'client-certificate': files.cert, 'client-key': files.key };
    node.kubeconfig = await cluster.kubeconfig('short-lived', user);
    await using run = await node.start({ leaseSeconds: 4 });
    await node.create(node.pod('outlives'));
    const before = await node.untilReady('outlives');
    await write(3000);
    await cluster.until(
      'the reason is told',
      async () =>
        run.agent.clusterProblems().some((each) => each.includes('the client certificate expired at 20')) || undefined,
    );
    expect(run.log.text).toContain('the client certificate expired at 20');
    await write();
    await node.create(node.pod('afterwards'));
    await node.untilReady('afterwards', 60_000);
    expect(mainId(await node.untilReady('outlives'))).toBe(mainId(before));
    await cluster.until('all is well', async () => (run.agent.clusterProblems().length === 0 ? true : undefined));
    for (const name of ['outlives', 'afterwards']) await node.delete(name);
    for (const name of ['outlives', 'afterwards']) await node.untilGone(name);
  });

  test('a wrong authority and an expired certificate are told by name, and pods of the machine run all the same', async () => {
    await using node = await NodeWorld.open(cluster);
    const key = await makeKey();
    const stranger = makeCertificate({
      subject: { commonName: 'stranger' },
      keyPem: key,
      notBefore: Date.now() - 1000,
      notAfter: Date.now() + 1e9,
      use: 'authority',
    });
    node.kubeconfig = await cluster.kubeconfig(
      'stranger',
      inlineUser(await cluster.nodeIdentity(node.name)),
      cluster.server,
      stranger,
    );
    const manifest = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'local' },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'main', image: sampleImage, command: ['sleep', '1000000'] }],
      },
    });
    await node.world.write('local.json', manifest);
    const first = await node.start();
    await cluster.until('the static pod runs', async () =>
      first.agent.pods().some(({ status }) => status?.phase === 'Running') ? true : undefined,
    );
    const local = `local-${node.name}`;
    const untilTold = async ({ agent }: ClusterNode, why: RegExp): Promise<unknown> =>
      await cluster.until(`${String(why)} is told`, async () => told(why).test(await whyOf(agent, local)) || undefined);
    await untilTold(first, /.*its certificate is not trusted/);
    expect(first.log.text).toContain('its certificate is not trusted');
    const running = first.agent.pods()[0]?.status?.containerStatuses?.[0]?.containerID;
    await first[Symbol.asyncDispose]();

    node.kubeconfig = await cluster.kubeconfig('expired', inlineUser(await cluster.nodeIdentity(node.name, -1000)));
    const second = await node.start();
    await untilTold(second, /.*401 .*the client certificate expired at 20/);
    expect(second.log.text).toContain('the client certificate expired at 20');
    await second[Symbol.asyncDispose]();

    node.kubeconfig = await cluster.nodeKubeconfig(node.name);
    await using third = await node.start();
    const mirror = await node.untilReady(local);
    expect(mainId(mirror)).toBe(running);
    expect(third.agent.pods()[0]?.status?.containerStatuses?.[0]?.restartCount).toBe(0);
  });
});

/** Requests of a node's serving certificate that nobody has decided on. */
async function undecided(cluster: TestControlPlane, nodeName: string): Promise<readonly CertificateSigningRequest[]> {
  const items = (await cluster.api('GET', requestsPath)).body['items'] as CertificateSigningRequest[];
  return items.filter(
    ({ spec, status }) =>
      spec.username === `system:node:${nodeName}` &&
      spec.signerName === 'kubernetes.io/kubelet-serving' &&
      !status?.conditions,
  );
}

/** Approves a request of a node's serving certificate as soon as there is one, as an administrator does. */
async function approve(cluster: TestControlPlane, nodeName: string): Promise<void> {
  const request = await cluster.until('a request to approve', async () => (await undecided(cluster, nodeName))[0]);
  await approveRequest(cluster, request);
}

async function approveRequest(cluster: TestControlPlane, { metadata }: CertificateSigningRequest): Promise<void> {
  const conditions = [{ type: 'Approved', status: 'True', reason: 'Test', message: 'approved' }];
  await cluster.api('PATCH', `${requestsPath}/${metadata?.name}/approval`, { status: { conditions } });
}
