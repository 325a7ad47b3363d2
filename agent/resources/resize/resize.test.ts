import { expect, test } from 'vitest';
import type { Container, Pod } from '../../api/index.js';
import { swapLimit } from '../swap.js';
import type { NodeLimits } from '../linux-resources.js';
import { orderResizes } from './order-resizes.js';
import { planResize, shrinkProblem } from './plan-resize.js';

const mebi = 2 ** 20;
const options = { cpuCfsQuota: true, cpuPeriodUs: 100_000, podPidsLimit: -1 };
const node: NodeLimits = {
  memoryBytes: 2 ** 34,
  cpuCfsQuota: true,
  cpuPeriodUs: 100_000,
  hugepageSizes: [],
  cgroupV2: true,
  singleProcessOomKill: false,
};
const container = (name: string, cpu: string, memory: string, more: Partial<Container> = {}): Container => ({
  name,
  resources: { requests: { cpu, memory }, limits: { cpu, memory } },
  ...more,
});
const podOf = (...containers: Container[]): Pod => ({ metadata: { uid: 'p' }, spec: { containers } });
const stepsOf = (from: Pod, to: Pod): string[] =>
  planResize(from, to, options, node).map((step) =>
    step.kind === 'pod-cgroup'
      ? `pod ${JSON.stringify(step.limits)}`
      : step.kind === 'restart-container'
        ? `restart ${step.container}`
        : `${step.container} shares ${step.resources.cpuShares} quota ${step.resources.cpuQuota} memory ${step.resources.memoryLimitInBytes}`,
  );

test('nothing changes: nothing is done', () => {
  expect(stepsOf(podOf(container('a', '1', '1Gi')), podOf(container('a', '1000m', '1024Mi')))).toEqual([]);
});

test('the pod grows before its containers, and those that shrink go first', () => {
  const from = podOf(container('a', '1', '100Mi'), container('b', '1', '100Mi'));
  const to = podOf(container('a', '3', '200Mi'), container('b', '500m', '50Mi'));
  expect(stepsOf(from, to)).toEqual([
    `pod {"cpuQuotaUs":350000,"cpuPeriodUs":100000,"memoryBytes":${250 * mebi}}`,
    'pod {"cpuShares":3584}',
    `b shares 512 quota 50000 memory ${50 * mebi}`,
    `a shares 3072 quota 300000 memory ${200 * mebi}`,
  ]);
});

test('the pod shrinks after its containers', () => {
  expect(stepsOf(podOf(container('a', '2', '200Mi')), podOf(container('a', '1', '300Mi')))).toEqual([
    `pod {"memoryBytes":${300 * mebi}}`,
    `a shares 1024 quota 100000 memory ${300 * mebi}`,
    'pod {"cpuShares":1024}',
    'pod {"cpuQuotaUs":100000,"cpuPeriodUs":100000}',
  ]);
});

test('a container that takes it only by a restart is restarted', () => {
  const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' as const }];
  const from = podOf(container('a', '1', '100Mi', { resizePolicy }));
  expect(stepsOf(from, podOf(container('a', '1', '200Mi', { resizePolicy }))).at(-1)).toBe('restart a');
  expect(stepsOf(from, podOf(container('a', '2', '100Mi', { resizePolicy }))).at(-1)).toMatch(/^a shares 2048/);
});

test('a limit below what is in use is refused', () => {
  const from = podOf(container('a', '1', '100Mi'));
  const to = podOf(container('a', '1', '50Mi'));
  expect(shrinkProblem(from, to, () => 60 * mebi)).toContain('cannot decrease memory limits');
  expect(shrinkProblem(from, to, () => 40 * mebi)).toBeUndefined();
});

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

test.each([
  ['no swap by default', 'NoSwap', '100Mi', '200Mi', 0],
  ['in proportion to the request', 'LimitedSwap', '1Gi', '2Gi', 64 * mebi],
  ['not with limit and request equal', 'LimitedSwap', '1Gi', '1Gi', 0],
] as const)('swap: %s', (_name, behavior, request, limit, expected) => {
  const own: Container = { name: 'a', resources: { requests: { memory: request }, limits: { memory: limit } } };
  expect(swapLimit(podOf(own), own, { behavior, swapBytes: 2 ** 30, memoryBytes: 2 ** 34 })).toBe(expected);
});
