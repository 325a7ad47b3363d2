import { expect, test } from 'vitest';
import { defaultPod, defaultPullPolicy } from './default-pod.js';
import { container, podWith } from './pod-fixtures.js';

test('defaults are those of the API server', () => {
  const pod = defaultPod(
    podWith({
      hostNetwork: true,
      containers: [
        container({
          image: 'busybox',
          ports: [{ containerPort: 80 }],
          resources: { limits: { cpu: '1.0001', memory: '64Mi' }, requests: { memory: '1Mi' } },
          livenessProbe: { httpGet: { port: 80 } },
          env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
        }),
      ],
      volumes: [{ name: 'v' }, { name: 'c', configMap: { name: 'c' } }, { name: 'h', hostPath: { path: '/x' } }],
    }),
  );
  expect(pod.spec).toEqual({
    hostNetwork: true,
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    terminationGracePeriodSeconds: 30,
    securityContext: {},
    schedulerName: 'default-scheduler',
    enableServiceLinks: true,
    containers: [
      {
        name: 'a',
        image: 'busybox',
        imagePullPolicy: 'Always',
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
        ports: [{ containerPort: 80, hostPort: 80, protocol: 'TCP' }],
        resources: { limits: { cpu: '1001m', memory: '64Mi' }, requests: { cpu: '1001m', memory: '1Mi' } },
        livenessProbe: {
          httpGet: { port: 80, path: '/', scheme: 'HTTP' },
          timeoutSeconds: 1,
          periodSeconds: 10,
          successThreshold: 1,
          failureThreshold: 3,
        },
        env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name', apiVersion: 'v1' } } }],
      },
    ],
    volumes: [
      { name: 'v', emptyDir: {} },
      { name: 'c', configMap: { name: 'c', defaultMode: 420 } },
      { name: 'h', hostPath: { path: '/x', type: '' } },
    ],
  });
});

test('defaults change nothing that has them, and not what was given', () => {
  const given = Object.freeze(podWith({ resources: { limits: { cpu: '2' } }, volumes: [{ name: 'v' }] }));
  const once = defaultPod(given);
  expect(given.spec?.restartPolicy).toBeUndefined();
  expect(defaultPod(once)).toEqual(once);
  expect(once.spec?.resources).toEqual({ limits: { cpu: '2' }, requests: { cpu: '2' } });
});

test.each([
  ['busybox', 'Always'],
  ['busybox:latest', 'Always'],
  ['busybox:1', 'IfNotPresent'],
  ['localhost:5000/busybox', 'Always'],
  ['localhost:5000/busybox:1', 'IfNotPresent'],
  ['busybox@sha256:abc', 'IfNotPresent'],
  ['busybox:latest@sha256:abc', 'Always'],
  ['', 'IfNotPresent'],
])('image %j is pulled %s', (image, policy) => {
  expect(defaultPullPolicy(image)).toBe(policy);
});
