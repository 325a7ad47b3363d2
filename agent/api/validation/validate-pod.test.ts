import { describe, expect, test } from 'vitest';
import { defaultPod } from '../default-pod.js';
import type { Container, EphemeralContainer, Pod } from '../generated/types.js';
import { container, podWith } from '../pod-fixtures.js';
import { validatePod } from './validate-pod.js';

const withContainer = (fields: Partial<Container>): Pod => podWith({ containers: [container(fields)] });

function problemsOf(pod: Pod): string[] {
  return validatePod(defaultPod(pod)).map(({ path, message }) => `${path}: ${message}`);
}

test('a pod that uses much is valid', () => {
  expect(
    problemsOf(
      podWith({
        restartPolicy: 'OnFailure',
        initContainers: [
          container({ name: 'init', volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
          container({
            name: 'side',
            restartPolicy: 'Always',
            startupProbe: { exec: { command: ['true'] } },
            lifecycle: { preStop: { sleep: { seconds: 5 } } },
          }),
        ],
        containers: [
          container({
            ports: [{ name: 'http', containerPort: 80, hostPort: 8080 }],
            env: [
              { name: 'my.var-1', value: 'x' },
              { name: 'L', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app.kubernetes.io/name']" } } },
              { name: 'M', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
            ],
            envFrom: [{ prefix: 'P_', secretRef: { name: 's', optional: true } }],
            volumeMounts: [{ name: 'v', mountPath: '/v', subPathExpr: '$(POD)/x' }],
            resources: {
              requests: { cpu: '100m', 'example.com/gpu': '1' },
              limits: { cpu: '1', 'example.com/gpu': '1' },
            },
            readinessProbe: { grpc: { port: 1 }, successThreshold: 2 },
            restartPolicy: 'Never',
            restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [3] } }],
          }),
        ],
        volumes: [{ name: 'v', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }],
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['10.0.0.1', '::1'], searches: ['svc.local.', '.', '_a.b'] },
        tolerations: [{ operator: 'Exists' }, { key: 'a', value: 'b', effect: 'NoExecute', tolerationSeconds: 3 }],
        hostAliases: [{ ip: '1.2.3.4', hostnames: ['a.b'] }],
        securityContext: { sysctls: [{ name: 'net.ipv4.tcp_syncookies', value: '1' }] },
      }),
    ),
  ).toEqual([]);
});

const label =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name', or '123-abc')";
const subdomain =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com')";
const mount = { name: 'v', mountPath: '/v' };
const volume = { name: 'v', emptyDir: {} };

describe('what the API server refuses', () => {
  test.each<[string, Pod, string[]]>([
    ['no name', podWith({}, ''), ['metadata.name: Required value: name is required']],
    ['name', podWith({}, 'Web_1'), [`metadata.name: Invalid value: "Web_1": ${subdomain}`]],
    [
      'uid',
      { ...podWith({}), metadata: { name: 'a', uid: '../../etc' } },
      [
        `metadata.uid: Invalid value: "../../etc": must consist of alphanumeric characters, '-' or '_', at most 128 of them`,
      ],
    ],
    ['no spec', { metadata: { name: 'a' } }, ['spec: Required value']],
    [
      'no containers',
      podWith({ containers: [] }),
      ['spec.containers: Required value: a pod needs at least one container'],
    ],
    ['no image', withContainer({ image: '' }), ['spec.containers[0].image: Required value']],
    [
      'image with blanks',
      withContainer({ image: ' a' }),
      ['spec.containers[0].image: Invalid value: " a": must not have leading or trailing whitespace'],
    ],
    ['container name', withContainer({ name: 'A' }), [`spec.containers[0].name: Invalid value: "A": ${label}`]],
    [
      'same names',
      podWith({ containers: [container(), container()] }),
      ['spec.containers[1].name: Duplicate value: "a"'],
    ],
    [
      'same name of init',
      podWith({ initContainers: [container()] }),
      ['spec.initContainers[0].name: Duplicate value: "a"'],
    ],
    [
      'unknown volume',
      withContainer({ volumeMounts: [mount] }),
      ['spec.containers[0].volumeMounts[0].name: Not found: "v": no volume of the pod has this name'],
    ],
    [
      'one mount path twice',
      podWith({ volumes: [volume], containers: [container({ volumeMounts: [mount, mount] })] }),
      ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/v": must be unique'],
    ],
    [
      'subPath upwards',
      podWith({
        volumes: [volume],
        containers: [
          container({
            volumeMounts: [
              { ...mount, subPath: 'a/../../b' },
              { ...mount, mountPath: '/w', subPath: '/b' },
            ],
          }),
        ],
      }),
      [
        `spec.containers[0].volumeMounts[0].subPath: Invalid value: "a/../../b": must not contain '..'`,
        'spec.containers[0].volumeMounts[1].subPath: Invalid value: "/b": must be a relative path',
      ],
    ],
    [
      'hostPath upwards',
      podWith({ volumes: [{ name: 'v', hostPath: { path: '/a/../b' } }] }),
      [`spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain '..'`],
    ],
    [
      'two sources',
      podWith({ volumes: [{ ...volume, hostPath: { path: '/a' } }] }),
      ['spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type'],
    ],
    ['same volumes', podWith({ volumes: [volume, volume] }), ['spec.volumes[1].name: Duplicate value: "v"']],
    [
      'file of a volume upwards',
      podWith({
        volumes: [
          {
            name: 'v',
            secret: {
              secretName: 's',
              items: [
                { key: 'a', path: '../a', mode: 0o1777 },
                { key: 'b', path: '..b' },
              ],
            },
          },
        ],
      }),
      [
        `spec.volumes[0].secret.items[0].path: Invalid value: "../a": must not contain '..'`,
        'spec.volumes[0].secret.items[0].mode: Invalid value: 1023: must be a number between 0 and 0777 (octal), both inclusive',
        `spec.volumes[0].secret.items[1].path: Invalid value: "..b": must not start with '..'`,
      ],
    ],
    [
      'env name',
      withContainer({ env: [{ name: 'A=B', value: 'secret' }] }),
      [`spec.containers[0].env[0].name: Invalid value: "A=B": a valid environment variable name must not contain '='`],
    ],
    [
      'env from two places',
      withContainer({ env: [{ name: 'A', value: 'x', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }),
      ['spec.containers[0].env[0].valueFrom: Invalid value: may not be specified when `value` is not empty'],
    ],
    [
      'env field',
      withContainer({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.x' } } }] }),
      [expect.stringContaining('fieldPath: Unsupported value: "spec.x"') as string],
    ],
    [
      'no handler',
      withContainer({ livenessProbe: {} }),
      ['spec.containers[0].livenessProbe: Required value: must specify a handler type'],
    ],
    [
      'two handlers',
      withContainer({ livenessProbe: { exec: { command: ['a'] }, tcpSocket: { port: 1 }, successThreshold: 2 } }),
      [
        'spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type',
        'spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1',
      ],
    ],
    [
      'probe port',
      withContainer({ readinessProbe: { httpGet: { port: 70000 } } }),
      ['spec.containers[0].readinessProbe.httpGet.port: Invalid value: 70000: must be between 1 and 65535, inclusive'],
    ],
    [
      'probe of an init container',
      podWith({ initContainers: [container({ name: 'i', livenessProbe: { exec: { command: ['a'] } } })] }),
      [
        'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
      ],
    ],
    [
      'rules without a policy',
      withContainer({ restartPolicyRules: [{ action: 'Restart' }] }),
      [
        'spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used',
        'spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified',
      ],
    ],
    [
      'host ports',
      podWith({
        containers: [
          container({ ports: [{ containerPort: 1, hostPort: 80 }] }),
          container({ name: 'b', ports: [{ containerPort: 2, hostPort: 80 }] }),
        ],
      }),
      ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'],
    ],
    [
      'hostNetwork ports',
      podWith({ hostNetwork: true, containers: [container({ ports: [{ containerPort: 1, hostPort: 80 }] })] }),
      [
        'spec.containers[0].ports[0].hostPort: Invalid value: 80: must match `containerPort` when `hostNetwork` is true',
      ],
    ],
    [
      'request above limit',
      withContainer({ resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }),
      ['spec.containers[0].resources.requests.cpu: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ],
    [
      'extended resource shared',
      withContainer({ resources: { requests: { 'example.com/gpu': '1' }, limits: { 'example.com/gpu': '1500m' } } }),
      [
        'spec.containers[0].resources.limits["example.com/gpu"]: Invalid value: "1500m": must be an integer',
        'spec.containers[0].resources.requests["example.com/gpu"]: Invalid value: "1": must be equal to example.com/gpu limit of 1500m',
      ],
    ],
    [
      'huge pages alone',
      withContainer({ resources: { limits: { 'hugepages-2Mi': '2Mi' } } }),
      ['spec.containers[0].resources: Forbidden: HugePages require cpu or memory'],
    ],
    [
      'huge pages in parts',
      withContainer({ resources: { limits: { memory: '8Mi', 'hugepages-2Mi': '3Mi' } } }),
      [
        'spec.containers[0].resources.limits.hugepages-2Mi: Invalid value: "3Mi": must be a multiple of the page size 2Mi',
        'spec.containers[0].resources.requests.hugepages-2Mi: Invalid value: "3Mi": must be a multiple of the page size 2Mi',
      ],
    ],
    [
      'unknown resource',
      withContainer({ resources: { limits: { gpu: '1' } } }),
      [
        'spec.containers[0].resources.limits.gpu: Invalid value: "gpu": must be a standard resource for containers',
        'spec.containers[0].resources.requests.gpu: Invalid value: "gpu": must be a standard resource for containers',
      ],
    ],
    [
      'pod resources below its containers',
      podWith({
        resources: { requests: { cpu: '1' } },
        containers: [container({ resources: { requests: { cpu: '2' } } })],
      }),
      [
        'spec.resources.requests.cpu: Invalid value: "1": must be greater than or equal to aggregate container requests of 2',
      ],
    ],
    [
      'privileged without escalation',
      withContainer({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
      [
        'spec.containers[0].securityContext: Invalid value: cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
      ],
    ],
    [
      'seccomp',
      withContainer({ securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: '../x' } } }),
      [
        `spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: "../x": must not contain '..'`,
      ],
    ],
    [
      'bidirectional mount',
      podWith({
        volumes: [volume],
        containers: [container({ volumeMounts: [{ ...mount, mountPropagation: 'Bidirectional' }] })],
      }),
      [
        'spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers',
      ],
    ],
    [
      'block device of an emptyDir',
      podWith({ volumes: [volume], containers: [container({ volumeDevices: [{ name: 'v', devicePath: '/dev/x' }] })] }),
      [
        'spec.containers[0].volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
      ],
    ],
    [
      'shared and host PIDs',
      podWith({ hostPID: true, shareProcessNamespace: true }),
      ['spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled'],
    ],
    [
      'user namespace with host network',
      podWith({ hostUsers: false, hostNetwork: true }),
      ['spec.hostNetwork: Forbidden: when `hostUsers` is false'],
    ],
    [
      'sysctl',
      podWith({
        securityContext: {
          sysctls: [
            { name: 'a b', value: '1' },
            { name: 'net/x', value: '1' },
            { name: 'net.x', value: '1' },
          ],
        },
      }),
      [
        expect.stringContaining(
          'spec.securityContext.sysctls[0].name: Invalid value: "a b": must have at most 253 characters',
        ) as string,
        'spec.securityContext.sysctls[2].name: Duplicate value: "net.x"',
      ],
    ],
    [
      'dns None',
      podWith({ dnsPolicy: 'None' }),
      ['spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
    ],
    [
      'nameservers',
      podWith({ dnsConfig: { nameservers: ['1.1.1.1', '1.1.1.2', '1.1.1.3', 'x'] } }),
      [
        'spec.dnsConfig.nameservers: Invalid value: must not have more than 3 nameservers',
        'spec.dnsConfig.nameservers[3]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
    ],
    [
      'toleration',
      podWith({ tolerations: [{ value: 'x' }] }),
      [
        'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
      ],
    ],
    [
      'host alias',
      podWith({ hostAliases: [{ ip: 'x', hostnames: ['A'] }] }),
      [
        'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        `spec.hostAliases[0].hostnames[0]: Invalid value: "A": ${subdomain}`,
      ],
    ],
    [
      'readiness gate',
      podWith({ readinessGates: [{ conditionType: 'a b' }] }),
      [expect.stringContaining('spec.readinessGates[0].conditionType: Invalid value: "a b": name part') as string],
    ],
    [
      'deadline',
      podWith({ activeDeadlineSeconds: 0 }),
      ['spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive'],
    ],
    [
      'claims',
      withContainer({ resources: { claims: [{ name: 'c' }] } }),
      [
        'spec.containers[0].resources.claims[0]: Not found: "c": must be one of the names in pod.spec.resourceClaims which is empty',
      ],
    ],
  ])('%s', (_, pod, problems) => {
    expect(problemsOf(pod)).toEqual(problems);
  });

  test('ephemeral containers', () => {
    const debug: EphemeralContainer = {
      name: 'a',
      image: 'x',
      ports: [{ containerPort: 1 }],
      targetContainerName: 'z',
      restartPolicy: 'Always',
    };
    expect(problemsOf(podWith({ ephemeralContainers: [debug] }))).toEqual([
      'spec.ephemeralContainers[0].name: Duplicate value: "a"',
      'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container',
      'spec.ephemeralContainers[0].restartPolicy: Forbidden: cannot be set for an Ephemeral Container',
      'spec.ephemeralContainers[0].targetContainerName: Not found: "z"',
    ]);
    expect(problemsOf(podWith({ ephemeralContainers: [{ name: 'd', image: 'x', targetContainerName: 'a' }] }))).toEqual(
      [],
    );
  });
});
