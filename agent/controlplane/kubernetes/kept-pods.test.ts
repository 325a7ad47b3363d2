import { expect, test } from 'vitest';
import { podUidOf, type Pod } from '../../api/index.js';
import { KeptPods } from './kept-pods.js';

function world() {
  const pods = new Map<string, Pod>();
  const disk = new Map<string, unknown>();
  const written: string[] = [];
  const kept = new KeptPods({
    cache: { get: (uid) => pods.get(uid), all: () => [...pods.values()] },
    lastKnown: {
      get: (key) => disk.get(key),
      put: (key, value) => {
        written.push(key);
        disk.set(key, value);
      },
      remove: (key) => void disk.delete(key),
      keys: (prefix) => [...disk.keys()].filter((key) => key.startsWith(prefix)),
    },
  });
  const put = (pod: Pod): void => {
    pods.set(podUidOf(pod), pod);
    kept.put(pod);
  };
  const remove = (pod: Pod): void => {
    pods.delete(podUidOf(pod));
    kept.remove(pod);
  };
  return { pods, disk, written, kept, put, remove };
}

function pod(uid: string, secrets: readonly string[], more: Pod = {}): Pod {
  return {
    metadata: { uid, name: uid, namespace: 'shop', resourceVersion: '1' },
    spec: { containers: [], imagePullSecrets: secrets.map((name) => ({ name })) },
    ...more,
  };
}

test('a pod is written when it is new and when what decides over it changed, not when its status did', () => {
  const { written, put } = world();
  put(pod('a', []));
  const metadata = { uid: 'a', name: 'a', namespace: 'shop', resourceVersion: '2' };
  put(pod('a', [], { metadata, status: { conditions: [] } }));
  expect(written).toEqual(['Pod/a']);
  put(pod('a', [], { metadata, status: { phase: 'Running' } }));
  put(
    pod('a', [], {
      metadata: { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
      status: { phase: 'Running' },
    }),
  );
  put(pod('a', ['pull'], { status: { phase: 'Running' } }));
  expect(written).toEqual(['Pod/a', 'Pod/a', 'Pod/a', 'Pod/a']);
});

test('a pod that is removed takes along what it alone used', () => {
  const { disk, put, remove } = world();
  const [one, other] = [pod('a', ['own', 'shared']), pod('b', ['shared'])];
  put(one);
  put(other);
  for (const name of ['own', 'shared', 'unrelated']) disk.set(`Secret/shop/${name}`, {});
  remove(one);
  expect([...disk.keys()].toSorted()).toEqual(['Pod/b', 'Secret/shop/shared', 'Secret/shop/unrelated']);
});

test('with another set of pods goes all that none of them is or uses', () => {
  const { pods, disk, kept } = world();
  for (const key of ['Pod/gone', 'Secret/shop/own', 'Secret/shop/old', 'ConfigMap/shop/old', 'Node/here'])
    disk.set(key, {});
  pods.set('a', pod('a', ['own']));
  kept.replaceAll();
  expect([...disk.keys()].toSorted()).toEqual(['Node/here', 'Pod/a', 'Secret/shop/own']);
});
