import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CertificateSigningRequest } from '../../../agent/api/index.js';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';
import { canMove, MovingNode } from './moving-node.js';

const requestsPath = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const name = 'moving-node';

/** The names a request of a certificate is for. */
function namesOf({ spec }: CertificateSigningRequest): string {
  const input = Buffer.from(spec.request, 'base64');
  const text = execFileSync('openssl', ['req', '-noout', '-text'], { input, encoding: 'utf8' });
  return /Subject Alternative Name:\s*(.*)/.exec(text)?.[1]?.trim() ?? '';
}

describe.runIf(hasControlPlane() && canMove())('a machine whose address changes while it is a node', () => {
  let cluster: TestControlPlane;
  let node: MovingNode;
  beforeAll(async () => {
    cluster = await TestControlPlane.start({ controllerManager: true });
    node = await MovingNode.open(cluster, name);
  });
  afterAll(async () => {
    await node?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const waiting = async (): Promise<readonly CertificateSigningRequest[]> => {
    const items = (await cluster.api('GET', requestsPath)).body['items'] as CertificateSigningRequest[];
    return items.filter(
      ({ spec, status }) => spec.signerName === 'kubernetes.io/kubelet-serving' && !status?.conditions,
    );
  };
  const requestFor = async (names: string): Promise<CertificateSigningRequest> =>
    await node.until(`a request for ${names}`, async () => (await waiting()).find((each) => namesOf(each) === names));

  test('tells the new one, tells its pods, and asks for a certificate with it', async () => {
    const [first, second, third] = [node.address(2), node.address(3), node.address(4)];
    await node.untilTold(2);
    await node.create('early');
    expect((await node.untilPodTold('early', 2)).status?.podIP).toBe(first);
    // Nobody has decided on the first request when the address changes: the second does not wait for that.
    await requestFor(`DNS:${name}, IP Address:${first}`);
    await node.use(3);
    await node.untilTold(3);
    const request = await requestFor(`DNS:${name}, IP Address:${second}`);
    const conditions = [{ type: 'Approved', status: 'True', reason: 'Test', message: 'approved' }];
    const approval = `${requestsPath}/${request.metadata?.name}/approval`;
    await cluster.api('PATCH', approval, { status: { conditions } });
    const held = join(node.world.dir, 'pki', 'kubelet-server-current.pem');
    const leaf = await node.until('the certificate', async () =>
      existsSync(held) ? new X509Certificate(await readFile(held)) : undefined,
    );
    expect(leaf.subjectAltName).toBe(`DNS:${name}, IP Address:${second}`);
    await node.create('late');
    expect((await node.untilPodTold('late', 3)).status?.podIP).toBe(second);
    // What a pod on the host's network was once told as its own address stays, as a kubelet leaves it.
    expect((await node.untilPodTold('early', 3)).status?.podIP).toBe(first);

    // A certificate that is in force is replaced as well.
    await node.use(4);
    await node.untilTold(4);
    await requestFor(`DNS:${name}, IP Address:${third}`);
    await node.remove('early');
    await node.remove('late');

    // What was on connections of the addresses that are gone was asked again at once: nothing had to wait until it was given up.
    expect(node.log).toContain(`does not have the address ${first} any more`);
    expect(node.log).toContain(`does not have the address ${second} any more`);
    expect(node.log).not.toContain('no answer within');
  }, 240_000);
});
