import { expect, test } from 'vitest';
import { silentLogger } from '../../../base/log.js';
import type { Clock } from '../../../base/clock.js';
import type { Pod, PodUid } from '../../api/index.js';
import type { PodCertificateRequest } from '../../controlplane/certificate-objects.js';
import type { ReadableKind, ReadableObjects } from '../../controlplane/control-plane.js';
import { PodCertificates } from './pod-certificates.js';

const { signal } = new AbortController();
const minute = 60_000;
const pod: Pod = {
  metadata: { uid: 'u', name: 'p', namespace: 'n' },
  spec: { containers: [], serviceAccountName: 'robot' },
};

/** A cluster that keeps requests, whose signer is the test, on a clock that the test moves. */
class SignerWorld {
  now = 1_000_000_000;
  broken = false;
  readonly requests: PodCertificateRequest[] = [];
  readonly events: string[] = [];
  readonly certificates: PodCertificates;

  constructor() {
    const clock: Clock = { now: () => this.now, sleep: () => Promise.resolve() };
    const get = <K extends ReadableKind>(kind: K, _namespace: string, name: string) => {
      const metadata = { name, uid: `uid of ${name}` };
      const found = kind === 'PodCertificateRequest' ? this.#named(name) : { metadata };
      return Promise.resolve(found as ReadableObjects[K] | undefined);
    };
    this.certificates = new PodCertificates({
      nodeName: 'here',
      objects: { get },
      read: (_uid, kind, namespace, name) => get(kind, namespace, name),
      requests: {
        createPodCertificateRequest: (_namespace, request) => {
          if (this.broken) return Promise.reject(new Error('nobody answers'));
          const made = { ...request, metadata: { ...request.metadata, name: `req-${this.requests.length + 1}` } };
          this.requests.push(made);
          return Promise.resolve(made);
        },
      },
      clock,
      log: silentLogger,
      random: () => 0,
      event: (_pod, _type, reason, message) => this.events.push(`${reason}: ${message}`),
    });
  }

  #named(name: string): PodCertificateRequest | undefined {
    return this.requests.find(({ metadata }) => metadata?.name === name);
  }

  answer(status: NonNullable<PodCertificateRequest['status']>): void {
    const last = this.requests.pop();
    if (last) this.requests.push({ ...last, status });
  }

  issue(): void {
    const at = (ms: number): string => new Date(this.now + ms).toISOString();
    const chain = `-----BEGIN CERTIFICATE-----\nAAA${this.requests.length}\n-----END CERTIFICATE-----\n`;
    this.answer({
      conditions: [{ type: 'Issued', status: 'True', reason: 'R', message: 'M', lastTransitionTime: at(0) }],
      certificateChain: chain,
      notBefore: at(0),
      beginRefreshAt: at(20 * minute),
      notAfter: at(60 * minute),
    });
  }

  async get(keyType = 'ECDSAP256'): Promise<string> {
    const projection = { signerName: 'example.com/s', keyType, maxExpirationSeconds: 3600 };
    try {
      const { keyPem, chainPem } = await this.certificates.get(pod, 'v/0', projection, signal);
      expect(keyPem).toContain('PRIVATE KEY');
      return /AAA(\d)/.exec(chainPem)?.[0] ?? '';
    } catch (err) {
      return (err as Error).message;
    }
  }
}

const waits = (number: number): string =>
  `credential bundle is not issued yet: signer example.com/s has not decided PodCertificateRequest n/req-${number}`;

test('a request is made once and waited for; who asks and for what is in it', async () => {
  const world = new SignerWorld();
  expect([await world.get(), await world.get()]).toEqual([waits(1), waits(1)]);
  expect(world.requests).toHaveLength(1);
  const { metadata, spec } = world.requests[0] as PodCertificateRequest;
  expect(metadata).toMatchObject({ generateName: 'req-', ownerReferences: [{ kind: 'Pod', name: 'p', uid: 'u' }] });
  expect(spec).toMatchObject({
    ...{ signerName: 'example.com/s', podName: 'p', podUID: 'u', maxExpirationSeconds: 3600 },
    ...{ serviceAccountName: 'robot', serviceAccountUID: 'uid of robot', nodeName: 'here', nodeUID: 'uid of here' },
  });
  world.issue();
  expect(await world.get()).toBe('AAA1');
});

test('it is renewed from the time that the signer names; the old one serves until the new one is there', async () => {
  const world = new SignerWorld();
  await world.get();
  world.issue();
  expect(await world.get()).toBe('AAA1');
  world.now += 20 * minute - 1;
  expect(await world.get()).toBe('AAA1');
  expect(world.requests).toHaveLength(1);
  world.now += 1;
  expect([await world.get(), world.requests.length]).toEqual(['AAA1', 2]);
  world.issue();
  expect(await world.get()).toBe('AAA2');
  world.certificates.drop('u' as PodUid);
  expect(await world.get()).toBe(waits(3));
});

test('a renewal that cannot be asked for, or is not decided, is told when it is late and when it is over', async () => {
  const world = new SignerWorld();
  await world.get();
  world.issue();
  await world.get();
  world.broken = true;
  world.now += 21 * minute;
  expect(await world.get()).toBe('AAA1');
  world.broken = false;
  world.now += 10 * minute;
  expect([await world.get(), await world.get()]).toEqual(['AAA1', 'AAA1']);
  world.now += 40 * minute;
  expect(await world.get()).toBe('AAA1');
  expect(world.events).toEqual([
    'CertificateOverdueForRefresh: PodCertificate refresh overdue',
    'CertificateExpired: PodCertificate expired',
  ]);
});

test('a signer that refuses is not asked again for this pod', async () => {
  for (const [type, verb] of [
    ['Denied', 'was denied'],
    ['Failed', 'failed'],
  ] as const) {
    const world = new SignerWorld();
    await world.get();
    world.answer({
      conditions: [{ type, status: 'True', reason: 'No', message: 'not you', lastTransitionTime: '' }],
    });
    const words = `PodCertificateRequest n/req-1 ${verb}, reason="No", message="not you"`;
    const told = `${words}; signer example.com/s is not asked again for this pod`;
    expect([await world.get(), await world.get()]).toEqual([told, told]);
    expect(world.events).toEqual([`${type}: ${words}`]);
    expect(world.requests).toHaveLength(1);
  }
});

test('a request that somebody deletes is made again; one that is not seen yet is not', async () => {
  const world = new SignerWorld();
  await world.get();
  const [made] = world.requests.splice(0);
  expect(await world.get()).toBe(waits(1));
  expect(world.requests).toHaveLength(0);
  world.requests.push(made as PodCertificateRequest);
  expect(await world.get()).toBe(waits(1));
  world.requests.splice(0);
  await world.get();
  expect(world.requests).toHaveLength(1);
});

test('a key type that nobody knows is refused with those that are known', async () => {
  expect(await new SignerWorld().get('RSA1024')).toBe(
    'unknown key type "RSA1024" of a podCertificate source, known are RSA3072, RSA4096, ECDSAP256, ECDSAP384, ECDSAP521, ED25519',
  );
});
