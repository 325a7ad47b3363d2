import { expect, test } from 'vitest';
import type { Pod } from '../api/index.js';
import { staticPod, type StaticOrigin, type StaticPodOptions } from './static-pod.js';

const written: Pod = { metadata: { name: 'web' }, spec: { containers: [{ name: 'a', image: 'x' }] } };
const origin: StaticOrigin = { source: 'file', path: '/m/web.yaml' };
const options: StaticPodOptions = { nodeName: 'Node1', nameSuffix: true, apiReferences: true };
const seenAt = (): string => '2026-01-01T00:00:00Z';
const make = (pod: Pod, from: StaticOrigin = origin, changes: Partial<StaticPodOptions> = {}): Pod =>
  staticPod(pod, pod, from, { ...options, ...changes }, seenAt);

test('a static pod gets what the kubelet gives it', () => {
  const pod = make(written);
  const uid = pod.metadata?.uid ?? '';
  expect(uid).toMatch(/^[0-9a-f]{32}$/);
  expect(pod).toEqual({
    metadata: {
      name: 'web-node1',
      namespace: 'default',
      uid,
      annotations: {
        'kubernetes.io/config.source': 'file',
        'kubernetes.io/config.hash': uid,
        'kubernetes.io/config.seen': '2026-01-01T00:00:00Z',
      },
    },
    spec: {
      nodeName: 'Node1',
      containers: [{ name: 'a', image: 'x' }],
      tolerations: [{ operator: 'Exists', effect: 'NoExecute' }],
    },
    status: { phase: 'Pending' },
  });
  expect(make(written, origin, { nameSuffix: false }).metadata?.name).toBe('web');
});

test('the UID changes with content, node and origin and with nothing else', () => {
  const uid = (pod: Pod, from?: StaticOrigin, changes?: Partial<StaticPodOptions>): string | undefined =>
    make(pod, from, changes).metadata?.uid;
  const same = uid(written);
  expect(uid({ spec: { containers: [{ image: 'x', name: 'a' }] }, metadata: { name: 'web' } })).toBe(same);
  expect(uid(written, origin, { nameSuffix: false })).toBe(same);
  expect(uid({ ...written, status: { phase: 'Running' } })).toBe(same);
  const others = [
    uid({ ...written, metadata: { name: 'web2' } }),
    uid(written, { source: 'file', path: '/m/other.yaml' }),
    uid(written, { source: 'http', url: '/m/web.yaml' }),
    uid(written, origin, { nodeName: 'node2' }),
  ];
  expect(new Set([same, ...others]).size).toBe(5);
  expect(uid({ ...written, metadata: { name: 'web', uid: 'mine' } })).toBe('mine');
});

test('a toleration of everything is not added twice', () => {
  const pod: Pod = { ...written, spec: { containers: [], tolerations: [{ operator: 'Exists' }] } };
  expect(make(pod).spec?.tolerations).toEqual([{ operator: 'Exists' }]);
});
