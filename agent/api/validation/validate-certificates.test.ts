import { beforeAll, expect, test } from 'vitest';
import { makeCertificate, makeKey } from '../../controlplane/certificates/index.js';
import { defaultPod } from '../default-pod.js';
import type { ClusterTrustBundle, PodCertificateProjection, VolumeProjection } from '../generated/types.js';
import { validateObject } from './validate-objects.js';

const certificate: PodCertificateProjection = { signerName: 'a.com/b', keyType: 'ED25519', keyPath: 'key.pem' };

const problemsOf = (sources: VolumeProjection[]): string[] =>
  validateObject(
    defaultPod({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a' },
      spec: { containers: [{ name: 'a', image: 'b' }], volumes: [{ name: 'v', projected: { sources } }] },
    }),
  ).map(({ path, message }) => `${path.replace('spec.volumes[0].projected', '')}: ${message}`);

test.each<[string, Partial<PodCertificateProjection>, string[]]>([
  ['nothing wrong', { maxExpirationSeconds: 3600, credentialBundlePath: 'both.pem' }, []],
  [
    'no path',
    { keyPath: undefined },
    [': Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath'],
  ],
  [
    'paths that lead elsewhere',
    { keyPath: '../key', certificateChainPath: '..chain' },
    [
      `.keyPath: Invalid value: "../key": must not contain '..'`,
      `.certificateChainPath: Invalid value: "..chain": must not start with '..'`,
    ],
  ],
  ['no signer', { signerName: '' }, ['.signerName: Required value']],
  [
    'a signer without a path',
    { signerName: 'a.com' },
    ['.signerName: Invalid value: "a.com": must be a fully qualified domain and path of the form "domain/path"'],
  ],
  [
    'a kind of key that nobody makes',
    { keyType: 'RSA1024' },
    [
      '.keyType: Unsupported value: "RSA1024": supported values: "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"',
    ],
  ],
  [
    'a life that is too short',
    { maxExpirationSeconds: 60 },
    ['.maxExpirationSeconds: Invalid value: 60: if provided, maxExpirationSeconds must be >= 3600'],
  ],
  [
    'a life that Kubernetes does not give',
    { maxExpirationSeconds: 100_000, signerName: 'kubernetes.io/kube-apiserver-client-pod' },
    ['.maxExpirationSeconds: Invalid value: 100000: if provided, maxExpirationSeconds must be <= 86400'],
  ],
])('a certificate of a pod with %s', (_what, change, problems) => {
  const found = problemsOf([{ podCertificate: { ...certificate, ...change } }]);
  expect(found.map((each) => each.replace('.sources[0].podCertificate', ''))).toEqual(problems);
});

test('its files may not be those of another source', () => {
  const secret = { name: 's', items: [{ key: 'k', path: 'key.pem' }] };
  expect(problemsOf([{ secret }, { podCertificate: certificate }])).toEqual([
    ': Invalid value: "key.pem": conflicting duplicate paths',
  ]);
});

let anchor = '';
let leaf = '';
beforeAll(async () => {
  const keyPem = await makeKey();
  const options = { subject: { commonName: 'a' }, keyPem, notBefore: Date.now(), notAfter: Date.now() + 1e6 };
  anchor = makeCertificate({ ...options, use: 'authority' });
  leaf = makeCertificate({ ...options, use: 'server' });
});

test('a trust bundle holds authorities and nothing else, each once, and is named after its signer', () => {
  const of = (name: string, spec: ClusterTrustBundle['spec']): string[] =>
    validateObject({ kind: 'ClusterTrustBundle', metadata: { name }, spec }).map(
      ({ path, message }) => `${path}: ${message}`,
    );
  expect(of('a', { trustBundle: `# words\n${anchor}` })).toEqual([]);
  expect(of('a.com:b:c', { signerName: 'a.com/b', trustBundle: anchor })).toEqual([]);
  expect(of('c', { signerName: 'a.com/b', trustBundle: anchor })).toEqual([
    'metadata.name: Invalid value: "c": ClusterTrustBundle for signerName a.com/b must be named with prefix a.com:b:',
  ]);
  const at = 'spec.trustBundle: Invalid value:';
  expect(of('a', { trustBundle: 'words' })).toEqual([`${at} at least one trust anchor must be provided`]);
  expect(of('a', { trustBundle: `${anchor}${anchor}` })).toEqual([`${at} duplicate trust anchor (indices [0 1])`]);
  const broken = '-----BEGIN CERTIFICATE-----\nd29yZHM=\n-----END CERTIFICATE-----\n';
  const key = '-----BEGIN PRIVATE KEY-----\nd29yZHM=\n-----END PRIVATE KEY-----\n';
  expect(of('a', { trustBundle: `${leaf}${broken}${key}` })).toEqual([
    `${at} entry 0 does not have the CA bit set`,
    `${at} entry 1 does not parse as X.509`,
    `${at} entry 2 has bad block type: PRIVATE KEY`,
  ]);
});
