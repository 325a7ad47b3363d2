import { expect, test } from 'vitest';
import type { Pod, PodUid } from '../../api/index.js';
import { formatGoMilliseconds } from '../../podloop/go-duration.js';
import type { Step } from '../../podloop/steps.js';
import type { Accumulator } from './accumulators.js';
import { startupGauges } from './startup-metrics.js';
import { timedMethods } from './timed-methods.js';
import { WorkMetrics } from './work-metrics.js';

const seriesOf = (all: readonly Accumulator[], name: string): string[] =>
  all
    .map((each) => each.snapshot())
    .flatMap(({ values }) => values)
    .filter(({ metricName }) => metricName === name)
    .map(({ labels, value }) => `${Object.values(labels).join(' ')} = ${value}`.trim());

const uid = 'u' as PodUid;
const pod: Pod = {
  metadata: { name: 'web' },
  spec: { containers: [{ name: 'main', image: 'i' }], initContainers: [{ name: 'init', image: 'i' }] },
};
const of = { uid, pod, ending: false, created: false };
const start = (container: string): Step => ({ kind: 'start-container', container }) as Step;

test('a pod is at work from its first step until none is under way', () => {
  const work = new WorkMetrics();
  const first = work.step(of, { kind: 'prepare-pod' });
  const second = work.step({ ...of, created: true }, { kind: 'mount-volumes' });
  first();
  expect(seriesOf(work.all, 'kubelet_pod_worker_duration_seconds_count')).toEqual([]);
  second();
  work.step({ ...of, created: true }, start('main'))();
  work.step({ ...of, created: true }, { kind: 'resize-pod' })();
  work.step({ ...of, ending: true }, { kind: 'release-pod' })('FailedKillPod');
  expect(seriesOf(work.all, 'kubelet_pod_worker_duration_seconds_count')).toEqual([
    ...['create = 1', 'sync = 1', 'update = 1', 'kill = 1'],
  ]);
});

test('a resize of running containers is timed by how it ended, and what is asked for and waits is counted', () => {
  const work = new WorkMetrics();
  work.step(of, { kind: 'resize-pod' })();
  work.step(of, { kind: 'resize-pod' })('ResizeFailed');
  work.step(of, { kind: 'mount-volumes' })();
  expect(seriesOf(work.all, 'kubelet_pod_resize_duration_milliseconds_count')).toEqual(['true = 1', 'false = 1']);
  work.resizes.asked({ resource: 'cpu', requirement: 'limits', operation: 'add' });
  work.resizes.refused('swap_limitation');
  work.resizes.grantedLate('pods_removed');
  expect(seriesOf(work.all, 'kubelet_container_requested_resizes_total')).toEqual(['cpu limits add = 1']);
  expect(seriesOf(work.all, 'kubelet_pod_infeasible_resizes_total')).toEqual(['swap_limitation = 1']);
  expect(seriesOf(work.all, 'kubelet_pod_deferred_accepted_resizes_total')).toEqual(['pods_removed = 1']);
});

test('each try to start a container counts, with where it is listed and why it failed', () => {
  const work = new WorkMetrics();
  work.step(of, start('init'))();
  work.step(of, start('main'))('RunContainerError');
  work.step(of, { kind: 'ensure-image', container: 'main', image: 'i' })('ErrImageNeverPull');
  work.step(of, { kind: 'ensure-image', container: 'main', image: 'i' })();
  expect(seriesOf(work.all, 'kubelet_started_containers_total')).toEqual(['init_container = 1', 'container = 2']);
  expect(seriesOf(work.all, 'kubelet_started_containers_errors_total')).toEqual([
    ...['container RunContainerError = 1', 'container ErrImageNeverPull = 1'],
  ]);
});

test('images by what was found and how large they are, preemptions, looks at the runtime', () => {
  const work = new WorkMetrics();
  work.imageEnsured('IfNotPresent', true, false);
  work.imageEnsured('Never', false, undefined);
  work.imagePulled(2, 11 * 2 ** 20);
  work.imagePulled(2, 200 * 2 ** 30);
  work.preempted('memory');
  work.relisted('all', 1);
  work.relisted('all', 1);
  work.relisted('pod', 1);
  expect(seriesOf(work.all, 'kubelet_image_manager_ensure_image_requests_total')).toEqual([
    ...['true ifnotpresent false = 1', 'false never unknown = 1'],
  ]);
  expect(seriesOf(work.all, 'kubelet_image_pull_duration_seconds_sum')).toEqual(['10MB-100MB = 2', 'GT100GB = 2']);
  expect(seriesOf(work.all, 'kubelet_preemptions')).toEqual(['memory = 1']);
  expect(seriesOf(work.all, 'kubelet_pleg_relist_duration_seconds_count')).toEqual(['= 2']);
  expect(seriesOf(work.all, 'kubelet_pleg_relist_interval_seconds_count')).toEqual(['= 1']);
  expect(seriesOf(work.all, 'kubelet_pleg_pod_relist_duration_seconds_count')).toEqual(['= 1']);
});

test('parts of the start-up are told once they are known', () => {
  const known: { readyAt?: number; registration?: { seconds: number; at: number } } = {};
  const gauges = startupGauges(
    { startedAt: 250 },
    () => known.registration,
    () => known.readyAt,
  );
  expect(seriesOf(gauges, 'kubelet_node_startup_pre_kubelet_duration_seconds')).toHaveLength(1);
  expect(seriesOf(gauges, 'kubelet_node_startup_pre_registration_duration_seconds')).toEqual([]);
  known.registration = { seconds: 0.5, at: 1000 };
  expect(seriesOf(gauges, 'kubelet_node_startup_pre_registration_duration_seconds')).toEqual(['= 0.25']);
  expect(seriesOf(gauges, 'kubelet_node_startup_post_registration_duration_seconds')).toEqual([]);
  known.readyAt = 3500;
  expect(seriesOf(gauges, 'kubelet_node_startup_post_registration_duration_seconds')).toEqual(['= 2.5']);
});

test('a timed method keeps its answer, its failure and its state; others are not timed', async () => {
  class Service {
    #count = 0;
    add(by: number): Promise<number> {
      this.#count += by;
      return by > 0 ? Promise.resolve(this.#count) : Promise.reject(new Error('broken'));
    }
    get count(): number {
      return this.#count;
    }
    reset(): void {
      this.#count = 0;
    }
  }
  const told: [string, boolean][] = [];
  const timed = timedMethods(new Service(), { add: 'addition' }, (name, _, failed) => told.push([name, failed]));
  expect(await timed.add(2)).toBe(2);
  await expect(timed.add(0)).rejects.toThrow('broken');
  expect(timed.count).toBe(2);
  timed.reset();
  expect(timed.count).toBe(0);
  expect(told).toEqual([
    ['addition', false],
    ['addition', true],
  ]);
});

test.each([
  [0, '0s'],
  [523.9, '523ms'],
  [1500, '1.5s'],
  [62_003, '1m2.003s'],
  [3_600_000, '1h0m0s'],
])('%d ms is %s', (ms, text) => expect(formatGoMilliseconds(ms)).toBe(text));
