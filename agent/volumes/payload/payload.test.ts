import { expect, test } from 'vitest';
import type { Pod, ProjectedVolumeSource } from '../../api/index.js';
import type { PodVolume } from '../volume-plugin.js';
import type { ContentSources } from './content-sources.js';
import { configMapPayload, secretPayload } from './keyed-payload.js';
import { projectedPayload } from './projected-payload.js';

const { signal } = new AbortController();
const base64 = (text: string): string => Buffer.from(text).toString('base64');

function shown(payload: ReadonlyMap<string, { data: Uint8Array; mode: number }>): Record<string, string> {
  return Object.fromEntries(
    [...payload].map(([path, { data, mode }]) => [path, `${Buffer.from(data).toString()} ${mode.toString(8)}`]),
  );
}

test('keys become files; items choose, rename and set modes', () => {
  const object = { data: { a: '1', constructor: 'x' }, binaryData: { b: base64('2') } };
  expect(shown(configMapPayload({ defaultMode: 0o644 }, 'c', object))).toEqual({
    a: '1 644',
    constructor: 'x 644',
    b: '2 644',
  });
  const items = [
    { key: 'b', path: 'd/b', mode: 0o400 },
    { key: 'a', path: 'z' },
  ];
  expect(shown(configMapPayload({ defaultMode: 0o644, items }, 'c', object))).toEqual({ 'd/b': '2 400', z: '1 644' });
  const secret = { data: { a: base64('1') }, stringData: { b: '2' } };
  expect(shown(secretPayload({ defaultMode: 0o600 }, 's', secret))).toEqual({ a: '1 600', b: '2 600' });
});

test('what is missing is an error unless it is optional', () => {
  const items = [{ key: 'toString', path: 'x' }];
  expect(() => configMapPayload({ defaultMode: 0o644 }, 'c', undefined)).toThrow('configmap "c" not found');
  expect(() => secretPayload({ defaultMode: 0o644 }, 's', undefined)).toThrow('secret "s" not found');
  expect(() => configMapPayload({ defaultMode: 0o644, items }, 'c', {})).toThrow('non-existent config key: toString');
  expect(() => secretPayload({ defaultMode: 0o644, items }, 's', {})).toThrow('non-existent secret key: toString');
  expect(configMapPayload({ defaultMode: 0o644, items, optional: true }, 'c', undefined).size).toBe(0);
});

const sources: ContentSources = {
  configMap: (_pod, name) => Promise.resolve(name === 'c' ? { data: { a: 'map', b: 'map' } } : undefined),
  secret: (_pod, name) => Promise.resolve(name === 's' ? { data: { a: base64('secret') } } : undefined),
  token: () => Promise.resolve({ token: 'T', expiresAt: 900, refreshAt: 500 }),
  trustBundles: () => ({ named: () => Promise.resolve(undefined), all: () => Promise.resolve([]) }),
  certificate: (_pod, source) => Promise.resolve({ keyPem: `key of ${source};`, chainPem: 'chain', refreshAt: 400 }),
  nodeFields: () => ({ nodeName: 'n', hostIps: [], podIps: [] }),
  allocatable: () => ({}),
};

function collect(source: ProjectedVolumeSource, rest: Partial<PodVolume> = {}): ReturnType<typeof projectedPayload> {
  const pod: Pod = { metadata: { name: 'p', labels: { x: 'y' } }, spec: { containers: [] } };
  return projectedPayload({ pod, ...rest } as PodVolume, source, sources, signal);
}

test('of sources with the same path the later one wins', async () => {
  const map = { configMap: { name: 'c' } };
  const secret = { secret: { name: 's' } };
  expect(shown((await collect({ sources: [map, secret] })).payload)).toEqual({ a: 'secret 644', b: 'map 644' });
  expect(shown((await collect({ sources: [secret, map] })).payload)).toEqual({ a: 'map 644', b: 'map 644' });
});

test('a token is for one user only where one user is known', async () => {
  const source = { sources: [{ serviceAccountToken: { path: 'token' } }] };
  const plain = await collect(source);
  expect(plain.refreshAt).toBe(500);
  expect(shown(plain.payload)).toEqual({ token: 'T 644' });
  const own = await collect(source, { fsUser: 1000 });
  expect(own.payload.get('token')).toMatchObject({ mode: 0o600, uid: 1000 });
  expect((await collect(source, { fsGroup: 2000 })).payload.get('token')).toMatchObject({ mode: 0o600 });
});

test('a certificate of the pod is written where its source says, and is looked at again when it ages', async () => {
  const kind = { signerName: 's', keyType: 'ED25519' };
  const apart = { ...kind, keyPath: 'key', certificateChainPath: 'chain' };
  const podCertificate = { ...kind, credentialBundlePath: 'both' };
  const { payload, refreshAt } = await collect(
    { sources: [{ podCertificate }, { podCertificate: apart }, { serviceAccountToken: { path: 'token' } }] },
    { name: 'v', fsUser: 1000 },
  );
  expect(shown(payload)).toEqual({
    both: 'key of v/0;chain 600',
    key: 'key of v/1; 600',
    chain: 'chain 600',
    token: 'T 600',
  });
  expect(refreshAt).toBe(400);
});

test('all that is wrong is said at once', async () => {
  const broken = {
    sources: [{ configMap: { name: 'x' } }, { clusterTrustBundle: { name: 'y', path: 'z' } }, {}],
  };
  await expect(collect(broken)).rejects.toThrow('[configmap "x" not found, clustertrustbundle "y" not found]');
});
