import { describe, expect, test } from 'vitest';
import type { Container, EnvVar, Pod, Service } from '../api/index.js';
import { resolveEnvironment, staticEnvironment, type EnvironmentSources } from './environment.js';

const never = new AbortController().signal;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const sources: EnvironmentSources = {
  configMap: async (_namespace, name) =>
    name === 'settings' ? { metadata: { name }, data: { colour: 'blue', 'odd.key': 'kept' } } : undefined,
  secret: async (_namespace, name) =>
    name === 'door' ? { metadata: { name }, data: { password: base64('open sesame') } } : undefined,
  services: async (namespace) => services.filter((service) => service.metadata?.namespace === namespace),
  volumeFile: async (_pod, _volume, path) =>
    ({
      'vars.env': "# made by init\nA='one'\nB='two\nlines'\nEMPTY=\n",
      'notes.env': "  A='one' # the first\r\n\r\nSPACED= 'two'\r\nB='#'\t#\r\nA='three'\r\nno value\r\n",
      'space.env': "A ='one'\n",
      'open.env': "A='one\n",
    })[path],
  node: { nodeName: 'node-1', hostIps: ['192.0.2.1'], podIps: ['10.0.0.9', 'fd00::9'] },
  allocatable: { cpu: '4', memory: '8Gi' },
};

const services: Service[] = [
  {
    metadata: { name: 'kubernetes', namespace: 'default' },
    spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443 }] },
  },
  {
    metadata: { name: 'my-db', namespace: 'shop' },
    spec: { clusterIP: '10.96.0.5', ports: [{ port: 5432, protocol: 'TCP' }] },
  },
  { metadata: { name: 'headless', namespace: 'shop' }, spec: { clusterIP: 'None', ports: [{ port: 1 }] } },
];

const pod = (container: Partial<Container>, enableServiceLinks = false): { pod: Pod; container: Container } => {
  const whole: Container = { name: 'main', ...container };
  return {
    container: whole,
    pod: {
      metadata: { name: 'web', namespace: 'shop', uid: 'u1', labels: { app: 'web' }, annotations: { note: 'a"b' } },
      spec: { enableServiceLinks, serviceAccountName: 'runner', containers: [whole] },
    },
  };
};

async function resolve(env: EnvVar[], more: Partial<Container> = {}): Promise<Record<string, string>> {
  const subject = pod({ env, ...more });
  const resolved = await resolveEnvironment(subject.pod, subject.container, sources, never);
  return Object.fromEntries([...resolved].filter(([name]) => !name.startsWith('KUBERNETES_')));
}

test('later definitions win and may refer to earlier ones', async () => {
  const env = await resolve(
    [
      { name: 'A', value: 'a' },
      { name: 'B', value: '$(A)-$(C_colour)-$(NONE)' },
      { name: 'C_colour', value: 'red' },
    ],
    {
      envFrom: [
        { prefix: 'C_', configMapRef: { name: 'settings' } },
        { secretRef: { name: 'door' } },
        { configMapRef: { name: 'gone', optional: true } },
      ],
    },
  );
  expect(env).toEqual({ A: 'a', B: 'a-blue-$(NONE)', C_colour: 'red', 'C_odd.key': 'kept', password: 'open sesame' });
});

test.each<[string, EnvVar['valueFrom'], string | undefined]>([
  ['a field', { fieldRef: { fieldPath: 'metadata.name' } }, 'web'],
  ['a label', { fieldRef: { fieldPath: "metadata.labels['app']" } }, 'web'],
  ['an annotation that is not there', { fieldRef: { fieldPath: "metadata.annotations['x']" } }, ''],
  ['addresses', { fieldRef: { fieldPath: 'status.podIPs' } }, '10.0.0.9,fd00::9'],
  ['the host address', { fieldRef: { fieldPath: 'status.hostIP' } }, '192.0.2.1'],
  ['a limit', { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } }, '100'],
  ['a request in thousandths', { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } }, '250'],
  ['a request rounded up', { resourceFieldRef: { resource: 'requests.cpu' } }, '1'],
  ['a limit nobody set', { resourceFieldRef: { resource: 'limits.cpu' } }, '4'],
  ['a config map key', { configMapKeyRef: { name: 'settings', key: 'colour' } }, 'blue'],
  ['a secret key', { secretKeyRef: { name: 'door', key: 'password' } }, 'open sesame'],
  ['an optional key that is not there', { secretKeyRef: { name: 'door', key: 'nope', optional: true } }, undefined],
  ['a file', { fileKeyRef: { volumeName: 'v', path: 'vars.env', key: 'B' } }, 'two\nlines'],
  ['a file with notes behind values', { fileKeyRef: { volumeName: 'v', path: 'notes.env', key: 'B' } }, '#'],
  ['the first of two in a file', { fileKeyRef: { volumeName: 'v', path: 'notes.env', key: 'A' } }, 'one'],
  [
    'a value that does not follow at once',
    { fileKeyRef: { volumeName: 'v', path: 'notes.env', key: 'SPACED', optional: true } },
    undefined,
  ],
  [
    'an optional empty file key',
    { fileKeyRef: { volumeName: 'v', path: 'vars.env', key: 'EMPTY', optional: true } },
    undefined,
  ],
])('value from %s', async (_what, valueFrom, expected) => {
  const resources = { limits: { memory: '100Mi' }, requests: { cpu: '250m' } };
  expect((await resolve([{ name: 'X', valueFrom }], { resources }))['X']).toBe(expected);
});

describe('what cannot be resolved names the object and is a configuration error', () => {
  test.each<[EnvVar['valueFrom'], string]>([
    [{ configMapKeyRef: { name: 'settings', key: 'nope' } }, "couldn't find key nope in ConfigMap shop/settings"],
    [{ secretKeyRef: { name: 'gone', key: 'k' } }, 'secret "gone" not found'],
    [{ fieldRef: { fieldPath: 'spec.nope' } }, 'spec.nope'],
    [{ fileKeyRef: { volumeName: 'v', path: 'vars.env', key: 'EMPTY' } }, '"EMPTY" not found in file "vars.env"'],
    [{ fileKeyRef: { volumeName: 'v', path: 'notes.env', key: 'Z' } }, '"notes.env": line 6 is not'],
    [{ fileKeyRef: { volumeName: 'v', path: 'space.env', key: 'A' } }, '"space.env": line 1 is not'],
    [{ fileKeyRef: { volumeName: 'v', path: 'open.env', key: 'A' } }, '"open.env": line 1 is not'],
  ])('%j', async (valueFrom, words) => {
    const failed = resolve([{ name: 'X', valueFrom }]);
    await expect(failed).rejects.toThrow(words);
    await expect(failed).rejects.toMatchObject({ failure: { reason: 'CreateContainerConfigError' } });
  });
});

test('services of the namespace, and the API server always', async () => {
  const subject = pod({}, true);
  const env = await resolveEnvironment(subject.pod, subject.container, sources, never);
  expect(Object.fromEntries(env)).toEqual({
    KUBERNETES_SERVICE_HOST: '10.96.0.1',
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    KUBERNETES_PORT: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
    KUBERNETES_PORT_443_TCP_PORT: '443',
    KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
    MY_DB_SERVICE_HOST: '10.96.0.5',
    MY_DB_SERVICE_PORT: '5432',
    MY_DB_PORT: 'tcp://10.96.0.5:5432',
    MY_DB_PORT_5432_TCP: 'tcp://10.96.0.5:5432',
    MY_DB_PORT_5432_TCP_PROTO: 'tcp',
    MY_DB_PORT_5432_TCP_PORT: '5432',
    MY_DB_PORT_5432_TCP_ADDR: '10.96.0.5',
  });
});

test('hooks and probes see only what needs no look-up', () => {
  const env = staticEnvironment({
    name: 'c',
    env: [
      { name: 'A', value: '1' },
      { name: 'S', valueFrom: { secretKeyRef: { name: 'door', key: 'password' } } },
      { name: 'B', value: '$(A)$(S)' },
    ],
  });
  expect(Object.fromEntries(env)).toEqual({ A: '1', B: '1$(S)' });
});
