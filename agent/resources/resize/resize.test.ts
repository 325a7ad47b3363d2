import { describe, expect, test } from 'vitest';
import type { Container, Pod } from '../../api/index.js';
import { podCgroupLimits } from '../cgroups/pod-limits.js';
import { swapLimit } from '../swap.js';
import { judgeResize, type ResizeNode } from './judge-resize.js';
import { orderResizes } from './order-resizes.js';
import { containerChanges, limitChanges, shrinkProblem, type MemoryUse } from './plan-resize.js';
import { hasResources, resourcesOf, withResources } from './pod-resources.js';
import { resizeEvents } from './resize-events.js';
import { resizeProblem } from './resize-problem.js';

const mebi = 2 ** 20;
const options = { cpuCfsQuota: true, cpuPeriodUs: 100_000, podPidsLimit: -1 };

const container = (name: string, cpu: string, memory: string, more: Partial<Container> = {}): Container => ({
  name,
  resources: { requests: { cpu, memory }, limits: { cpu, memory } },
  ...more,
});
const podOf = (...containers: Container[]): Pod => ({ metadata: { uid: 'p', name: 'p' }, spec: { containers } });
const restartFor = (resourceName: string): Partial<Container> => ({
  resizePolicy: [{ resourceName, restartPolicy: 'RestartContainer' }],
});
const changesOf = (from: Pod, to: Pod) => containerChanges(resourcesOf(from), to);
const limits = (from: Pod, to: Pod) => limitChanges(podCgroupLimits(from, options), podCgroupLimits(to, options));

describe('the limits of a pod', () => {
  test('do not change while the amounts are the same', () => {
    expect(limits(podOf(container('a', '1', '1Gi')), podOf(container('a', '1000m', '1024Mi')))).toEqual({
      first: [],
      last: [],
    });
  });

  test('go up before its containers, limits before the share', () => {
    const from = podOf(container('a', '1', '100Mi'), container('b', '1', '100Mi'));
    const to = podOf(container('a', '3', '200Mi'), container('b', '500m', '50Mi'));
    expect(limits(from, to)).toEqual({
      first: [{ cpuQuotaUs: 350_000, cpuPeriodUs: 100_000, memoryBytes: 250 * mebi }, { cpuShares: 3584 }],
      last: [],
    });
  });

  test('go down after its containers, the share before limits', () => {
    expect(limits(podOf(container('a', '2', '200Mi')), podOf(container('a', '1', '300Mi')))).toEqual({
      first: [{ memoryBytes: 300 * mebi }],
      last: [{ cpuShares: 1024 }, { cpuQuotaUs: 100_000, cpuPeriodUs: 100_000 }],
    });
  });
});

describe('containers', () => {
  const names = (from: Pod, to: Pod): string[] =>
    changesOf(from, to).map((each) => `${each.container.name}${each.restart ? ' anew' : ''}`);

  test('are left alone while the amounts are the same', () => {
    expect(names(podOf(container('a', '1', '1Gi')), podOf(container('a', '1000m', '1024Mi')))).toEqual([]);
  });

  test('that shrink go first', () => {
    const from = podOf(container('a', '1', '100Mi'), container('b', '1', '100Mi'));
    expect(names(from, podOf(container('a', '3', '200Mi'), container('b', '500m', '50Mi')))).toEqual(['b', 'a']);
  });

  test.each([
    ['memory', '1', '200Mi', 'a anew'],
    ['memory', '2', '100Mi', 'a'],
    ['cpu', '2', '100Mi', 'a anew'],
  ])('with a policy to restart for %s, at %s and %s: %s', (resource, cpu, memory, expected) => {
    const more = restartFor(resource);
    expect(names(podOf(container('a', '1', '100Mi', more)), podOf(container('a', cpu, memory, more)))).toEqual([
      expected,
    ]);
  });

  test('of which nothing is known are given their resources again and never started anew', () => {
    const changes = containerChanges(undefined, podOf(container('a', '1', '1Mi', restartFor('cpu'))));
    expect(changes).toMatchObject([{ restart: false, before: undefined }]);
  });
});

describe('a memory limit below what is in use', () => {
  const from = podOf(container('a', '1', '100Mi'));
  const to = podOf(container('a', '1', '50Mi'));
  const use = (pod: number, own: number): MemoryUse => ({ pod: pod * mebi, container: () => own * mebi });
  const podLimit = { before: 100 * mebi, after: 50 * mebi };
  test.each([
    ['both', use(60, 60), /^cannot decrease memory limits: \[.*pod memory limit.*container "a" memory limit/],
    ['the pod', use(60, 40), /pod memory limit \(52428800\) below current usage \(62914560\)$/],
    ['none', use(40, 40), undefined],
  ])('is refused for %s', (_name, used, expected) => {
    const problem = shrinkProblem(changesOf(from, to), podLimit, used);
    if (expected) expect(problem).toMatch(expected);
    else expect(problem).toBeUndefined();
  });

  test('does not matter while it grows', () => {
    const grown = { before: 50 * mebi, after: 100 * mebi };
    expect(shrinkProblem(changesOf(to, from), grown, use(200, 200))).toBeUndefined();
  });
});

describe('a promise', () => {
  const asked = podOf(container('a', '2', '1Gi'));
  test('goes before what the spec asks for', () => {
    const promise = resourcesOf(podOf(container('a', '1', '1Gi')));
    expect(hasResources(asked, promise)).toBe(false);
    const shown = withResources(asked, promise);
    expect(hasResources(shown, promise)).toBe(true);
    expect(shown.spec?.containers[0]?.resources?.limits?.['cpu']).toBe('1');
  });

  test('of the same amounts leaves the pod as it is', () => {
    expect(withResources(asked, resourcesOf(podOf(container('a', '2000m', '1024Mi'))))).toBe(asked);
  });
});

describe('the verdict on a resize', () => {
  const node: ResizeNode = { allocatable: { cpu: '4', memory: '4Gi' }, exclusiveCpus: false, exclusiveMemory: false };
  const burstable = (cpu: string, memory = '1Gi'): Pod =>
    podOf({ name: 'a', resources: { requests: { cpu, memory } } });
  const others = [burstable('2')];
  const ask = (from: Pod, to: Pod, more: Partial<ResizeNode> = {}): string => {
    const verdict = judgeResize(from, to, others, { ...node, ...more });
    return verdict.kind === 'fits' ? 'fits' : `${verdict.kind}: ${verdict.message}`;
  };
  test.each<[string, string]>([
    [ask(burstable('1'), burstable('2')), 'fits'],
    [
      ask(burstable('1'), burstable('3')),
      "Deferred: Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000",
    ],
    [
      ask(burstable('1'), burstable('5')),
      "Infeasible: Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000",
    ],
    [ask(burstable('8'), burstable('7')), 'fits'],
    [
      ask(burstable('1'), podOf(container('a', '1', '1Gi'))),
      'Infeasible: Pod QOS Class may not change as a result of resizing',
    ],
    [
      ask(podOf(container('a', '1', '1Gi')), podOf(container('a', '2', '1Gi')), { exclusiveCpus: true }),
      'Infeasible: Resize is infeasible for Guaranteed Pods alongside CPU Manager policy "static"',
    ],
    [
      ask(podOf(container('a', '1', '1Gi')), podOf(container('a', '1', '2Gi')), { exclusiveMemory: true }),
      'Infeasible: Resize is infeasible for Guaranteed Pods alongside Memory Manager policy "Static"',
    ],
    [ask(podOf(container('a', '1', '1Gi')), podOf(container('a', '1', '2Gi')), { exclusiveCpus: true }), 'fits'],
    [
      ask(burstable('1', '1Gi'), burstable('1', '2Gi'), {
        swap: { behavior: 'LimitedSwap', swapBytes: 2 ** 30, memoryBytes: 2 ** 34 },
      }),
      'Infeasible: In-place resize of containers with swap is not supported.',
    ],
  ])('%s', (verdict, expected) => expect(verdict).toBe(expected));
});

test.each<[string, Pod, Pod, string | undefined]>([
  ['more of both', podOf(container('a', '1', '1Gi')), podOf(container('a', '2', '2Gi')), undefined],
  [
    'another class',
    podOf(container('a', '1', '1Gi')),
    podOf({ name: 'a', resources: { requests: { cpu: '1' } } }),
    'Pod QOS Class may not change as a result of resizing',
  ],
  [
    'a limit less',
    podOf({ name: 'a', resources: { requests: { cpu: '1' }, limits: { cpu: '2', memory: '1Gi' } } }),
    podOf({ name: 'a', resources: { requests: { cpu: '1' }, limits: { cpu: '2' } } }),
    'spec.containers[0].resources.limits.memory: cannot be removed',
  ],
  [
    'something else',
    podOf({ name: 'a', resources: { requests: { cpu: '1', 'ephemeral-storage': '1Gi' } } }),
    podOf({ name: 'a', resources: { requests: { cpu: '1', 'ephemeral-storage': '2Gi' } } }),
    'spec.containers[0].resources.requests.ephemeral-storage: only cpu and memory can be changed while the pod runs',
  ],
])('a change to %s', (_name, before, after, problem) => expect(resizeProblem(before, after)).toBe(problem));

test('those that free something go first, then priority, then class, then who waits longest', () => {
  const pending = (name: string, before: string, after: string, since: number, priority = 0) => ({
    from: { metadata: { name }, spec: { priority, containers: [container('a', before, '1Mi')] } },
    to: { metadata: { name }, spec: { priority, containers: [container('a', after, '1Mi')] } },
    since,
  });
  const all = [
    pending('late', '1', '2', 5),
    pending('early', '1', '2', 1),
    pending('important', '1', '2', 9, 7),
    pending('less', '2', '1', 9),
  ];
  expect(orderResizes(all).map(({ to }) => to.metadata?.name)).toEqual(['less', 'important', 'early', 'late']);
});

describe('events between two statuses', () => {
  const progress = (reason?: string, message?: string) => ({
    conditions: [{ type: 'PodResizeInProgress', status: 'True' as const, reason, message }],
  });
  const pod = podOf(container('a', '1', '1Mi'));
  const reasons = (...statuses: Parameters<typeof resizeEvents> extends [infer A, infer B, unknown] ? [A, B] : never) =>
    resizeEvents(...statuses, pod).map(({ reason }) => reason);
  test('a resize that ends is told, one that fails is told once', () => {
    expect(reasons(progress(), { phase: 'Running', conditions: [] })).toEqual(['ResizeCompleted']);
    expect(reasons(progress(), progress('Error', 'x'))).toEqual(['ResizeError']);
    expect(reasons(progress('Error', 'x'), progress('Error', 'x'))).toEqual([]);
    expect(reasons(progress(), { phase: 'Failed', conditions: [] })).toEqual([]);
  });
  test('the message has the resources as JSON', () => {
    expect(resizeEvents(progress(), { conditions: [] }, pod)[0]?.message).toBe(
      'Pod resize completed: {"containers":[{"name":"a","resources":{"requests":{"cpu":"1","memory":"1Mi"},"limits":{"cpu":"1","memory":"1Mi"}}}],"generation":0}',
    );
  });
});

test.each([
  ['no swap by default', 'NoSwap', '100Mi', '200Mi', 0],
  ['in proportion to the request', 'LimitedSwap', '1Gi', '2Gi', 64 * mebi],
  ['not with limit and request equal', 'LimitedSwap', '1Gi', '1Gi', 0],
] as const)('swap: %s', (_name, behavior, request, limit, expected) => {
  const own: Container = { name: 'a', resources: { requests: { memory: request }, limits: { memory: limit } } };
  expect(swapLimit(podOf(own), own, { behavior, swapBytes: 2 ** 30, memoryBytes: 2 ** 34 })).toBe(expected);
});
