import { expect, test } from 'vitest';
import type { Pod, PodUid } from '../api/index.js';
import { ReferenceWatch } from './reference-watch.js';

const pod: Pod = {
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    imagePullSecrets: [{ name: 'pull' }],
    containers: [
      {
        name: 'a',
        envFrom: [{ configMapRef: { name: 'settings' } }],
        env: [
          { name: 'X', valueFrom: { configMapKeyRef: { name: 'settings', key: 'x' } } },
          { name: 'Y', valueFrom: { secretKeyRef: { name: 'door', key: 'y' } } },
        ],
      },
    ],
  },
};

test('watches each object once while a start has failed, and lets go after', () => {
  const open = new Map<string, () => void>();
  const woken: string[] = [];
  const watch = new ReferenceWatch({
    controlPlane: {
      watch: (kind, namespace, name, onChange) => {
        const key = `${kind} ${namespace}/${name}`;
        open.set(key, onChange);
        return { [Symbol.dispose]: () => void open.delete(key) };
      },
    },
    changed: (uid) => woken.push(uid),
  });
  const uid = 'u1' as PodUid;
  watch.failed(uid, pod);
  watch.failed(uid, pod);
  expect([...open.keys()].sort()).toEqual(['ConfigMap shop/settings', 'Secret shop/door', 'Secret shop/pull']);
  open.get('Secret shop/door')?.();
  expect(woken).toEqual(['u1']);
  watch.release(uid);
  expect(open.size).toBe(0);
});
