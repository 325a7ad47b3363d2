import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Pod, Taint } from '../api/index.js';
import { admitPod, type AdmissionNode } from './admit-pod.js';
import { chooseVictims } from './choose-victims.js';
import { matchesNode } from './node-affinity.js';
import { PodAmounts } from './pod-amounts.js';

const node: AdmissionNode = {
  nodeName: 'n1',
  allocatable: { cpu: '2', memory: '4Gi', 'example.com/gpu': '2' },
  labels: { zone: 'a', cores: '8' },
  taints: [],
  maxPods: 3,
  allowedUnsafeSysctls: ['kernel.msg*'],
  appArmor: false,
};
const podOf = (
  name: string,
  requests: Record<string, string> = {},
  spec: Partial<NonNullable<Pod['spec']>> = {},
): Pod => ({
  metadata: { name, namespace: 'n', uid: name },
  spec: { containers: [{ name: 'c', resources: { requests } }], ...spec },
});
const critical = { priority: 2_000_000_000 };
const reasonOf = (pod: Pod, active: readonly Pod[] = [], more: Partial<AdmissionNode> = {}): string => {
  const verdict = admitPod(pod, active, { ...node, ...more });
  return verdict.admitted ? 'admitted' : `${verdict.reason}: ${verdict.message}`;
};
const noExecute: Taint = { key: 'k', value: 'v', effect: 'NoExecute' };
const nodePorts = { containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort: 80 }] }] };

test.each<[string, string, string]>([
  ['fits', reasonOf(podOf('a', { cpu: '2' })), 'admitted'],
  [
    'CPU in thousandths',
    reasonOf(podOf('a', { cpu: '1500m' }), [podOf('b', { cpu: '1' })]),
    "OutOfcpu: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
  ],
  [
    'devices',
    reasonOf(podOf('a', { 'example.com/gpu': '2' }), [podOf('b', { 'example.com/gpu': '1' })]),
    "OutOfexample.com/gpu: Node didn't have enough resource: example.com/gpu, requested: 2, used: 1, capacity: 2",
  ],
  [
    'a device that a claim stands for',
    reasonOf({
      ...podOf('a', { 'example.com/gpu': '3' }),
      status: {
        extendedResourceClaimStatus: {
          resourceClaimName: 'claim',
          requestMappings: [{ containerName: 'c', resourceName: 'example.com/gpu', requestName: 'r' }],
        },
      },
    }),
    'admitted',
  ],
  ['a resource nobody here knows', reasonOf(podOf('a', { 'example.com/other': '1' })), 'admitted'],
  [
    'pods',
    reasonOf(podOf('a'), [podOf('b'), podOf('c'), podOf('d')]),
    "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3",
  ],
  [
    'selector',
    reasonOf(podOf('a', {}, { nodeSelector: { zone: 'b' } })),
    "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
  ],
  [
    'node name',
    reasonOf(podOf('a', {}, { nodeName: 'n2' })),
    "NodeName: Predicate NodeName failed: node(s) didn't match the requested node name",
  ],
  [
    'host port',
    reasonOf(podOf('a', {}, nodePorts), [podOf('b', {}, nodePorts)]),
    "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
  ],
  [
    'taint',
    reasonOf(podOf('a'), [], { taints: [noExecute] }),
    "TaintToleration: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
  ],
  [
    'tolerated taint',
    reasonOf(podOf('a', {}, { tolerations: [{ key: 'k', operator: 'Exists' }] }), [], { taints: [noExecute] }),
    'admitted',
  ],
  [
    'taint of another effect',
    reasonOf(podOf('a'), [], { taints: [{ ...noExecute, effect: 'NoSchedule' }] }),
    'admitted',
  ],
  [
    'disk pressure',
    reasonOf(podOf('a', { memory: '1Mi' }), [], { pressures: new Set(['DiskPressure']) }),
    'Evicted: The node had condition: [DiskPressure]. ',
  ],
  [
    'memory pressure, burstable',
    reasonOf(podOf('a', { memory: '1Mi' }), [], { pressures: new Set(['MemoryPressure']) }),
    'admitted',
  ],
  [
    'memory pressure, best effort',
    reasonOf(podOf('a'), [], { pressures: new Set(['MemoryPressure']) }),
    'Evicted: The node had condition: [MemoryPressure]. ',
  ],
  [
    'any pressure, critical',
    reasonOf(podOf('a', {}, critical), [], { pressures: new Set(['PIDPressure']) }),
    'admitted',
  ],
  [
    'strict groups',
    reasonOf(podOf('a', {}, { securityContext: { supplementalGroupsPolicy: 'Strict' } }), [], {
      supplementalGroupsPolicy: false,
    }),
    'SupplementalGroupsPolicyNotSupported: SupplementalGroupsPolicy=Strict is not supported in this node',
  ],
  [
    'sysctl',
    reasonOf(podOf('a', {}, { securityContext: { sysctls: [{ name: 'kernel.sem', value: '1' }] } })),
    'SysctlForbidden: forbidden sysctl: "kernel.sem" not allowlisted',
  ],
  [
    'sysctls that the configuration names with slashes',
    reasonOf(podOf('a', {}, { securityContext: { sysctls: [{ name: 'net.core.somaxconn', value: '1' }] } }), [], {
      allowedUnsafeSysctls: ['net/core/*'],
    }),
    'admitted',
  ],
  [
    'shutdown',
    reasonOf(podOf('a'), [], { shuttingDown: true }),
    'NodeShutdown: Pod was rejected as the node is shutting down.',
  ],
])('%s', (_name, reason, expected) => expect(reason).toBe(expected));

test.each([
  ['In', ['a', 'b'], 'a', true],
  ['In', ['a'], undefined, false],
  ['NotIn', ['a'], undefined, true],
  ['NotIn', ['a'], 'a', false],
  ['Exists', [], 'x', true],
  ['DoesNotExist', [], 'x', false],
  ['Gt', ['7'], '8', true],
  ['Gt', ['8'], '8', false],
  ['Lt', ['9'], '8', true],
  ['Lt', ['9'], 'eight', false],
] as const)('requirement %s %j of %j', (operator, values, value, expected) => {
  const pod = podOf(
    'a',
    {},
    {
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{}, { matchExpressions: [{ key: 'l', operator, values: [...values] }] }],
          },
        },
      },
    },
  );
  expect(matchesNode(pod, 'n1', value === undefined ? {} : { l: value })).toBe(expected);
});

test.each([
  ['Gt', '950', '980', true],
  ['Gt', '980', '980', false],
  ['Lt', '10', '-3', true],
  ['Lt', '10', '12', false],
  ['Lt', '10', 'nine', false],
  ['Gt', '007', '9', false],
] as const)('a taint is tolerated %s %s: %s', (operator, value, tainted, expected) => {
  const pod = podOf('a', {}, { tolerations: [{ key: 'k', operator, value, effect: 'NoExecute' }] });
  const verdict = admitPod(pod, [], { ...node, taints: [{ key: 'k', value: tainted, effect: 'NoExecute' }] });
  expect(verdict.admitted).toBe(expected);
});

describe('preemption', () => {
  const guaranteed = (name: string, cpu: string): Pod => ({
    metadata: { name, uid: name },
    spec: {
      containers: [{ name: 'c', resources: { requests: { cpu, memory: '1Mi' }, limits: { cpu, memory: '1Mi' } } }],
    },
  });

  test('a critical pod takes the place of the cheapest that is large enough', () => {
    const active = [guaranteed('g', '1'), podOf('small', { cpu: '200m' }), podOf('fits', { cpu: '500m' })];
    const verdict = admitPod(podOf('a', { cpu: '700m' }, critical), active, { ...node, maxPods: 9 });
    expect(verdict).toEqual({ admitted: true, preempt: [active[2]], shortOf: 'cpu' });
  });

  test('not of another critical pod', () => {
    const verdict = admitPod(podOf('a', { cpu: '2' }, critical), [podOf('b', { cpu: '1' }, critical)], node);
    expect(verdict).toMatchObject({ admitted: false, reason: 'UnexpectedAdmissionError' });
  });

  test('the victims free what is missing, none of them for nothing, and no Guaranteed pod while others would do', () => {
    const pods = fc.array(
      fc.record({ cpu: fc.integer({ min: 1, max: 2000 }), guaranteed: fc.boolean(), critical: fc.boolean() }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(pods, fc.integer({ min: 1, max: 4000 }), (drawn, missing) => {
        const active = drawn.map((each, n): Pod => {
          const pod = each.guaranteed ? guaranteed(`p${n}`, `${each.cpu}m`) : podOf(`p${n}`, { cpu: `${each.cpu}m` });
          return each.critical
            ? { ...pod, spec: { ...pod.spec, containers: pod.spec?.containers ?? [], ...critical } }
            : pod;
        });
        const amounts = new PodAmounts();
        const freed = (list: readonly Pod[]): number =>
          list.reduce((sum, pod) => sum + (amounts.of(pod).get('cpu') ?? 0), 0);
        const free = active.filter((_, n) => drawn[n]?.critical === false);
        const victims = chooseVictims(podOf('a', {}, critical), active, new Map([['cpu', missing]]), amounts);
        if (freed(free) < missing) {
          expect(victims).toBeUndefined();
          return;
        }
        expect(freed(victims ?? [])).toBeGreaterThanOrEqual(missing);
        for (const victim of victims ?? []) expect(free).toContain(victim);
        const burstable = free.filter((pod) => !pod.spec?.containers[0]?.resources?.limits);
        if (freed(burstable) >= missing) for (const victim of victims ?? []) expect(burstable).toContain(victim);
      }),
    );
  });
});
