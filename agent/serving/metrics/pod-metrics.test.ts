import { beforeEach, expect, test } from 'vitest';
import type { AgentPod } from '../../agent.js';
import type { Event, PodStatus } from '../../api/index.js';
import type { ObservedContainer } from '../../podloop/pod-facts.js';
import type { Accumulator } from './accumulators.js';
import { podGauges, PodMetrics } from './pod-metrics.js';

let now: number;
let metrics: PodMetrics;
beforeEach(() => {
  now = Date.parse('2026-01-01T00:00:00Z');
  metrics = new PodMetrics(() => now);
});

const seriesOf = (all: readonly Accumulator[], name: string): string[] =>
  all
    .map((each) => each.snapshot())
    .flatMap(({ values }) => values)
    .filter(({ metricName }) => metricName === name)
    .map(({ labels, value }) => `${Object.values(labels).join(' ')} = ${value}`.trim());

const container = (id: string, state: ObservedContainer['state'], exitCode = 0): ObservedContainer =>
  ({ id, name: 'main', state, exitCode, reason: exitCode === 0 ? 'Completed' : 'Error' }) as ObservedContainer;

function pod(
  status: PodStatus | undefined,
  containers: readonly ObservedContainer[] = [],
  more: object = {},
): AgentPod {
  const spec = { containers: [{ name: 'main', image: 'i' }], ephemeralContainers: [{ name: 'look', image: 'i' }] };
  const desired = { pod: { metadata: { creationTimestamp: '2026-01-01T00:00:00Z' }, spec }, static: false, ...more };
  return { uid: 'u-1', desired, status, observed: { sandboxes: [], containers } } as unknown as AgentPod;
}

const event = (reason: string): Event => ({ reason, involvedObject: { uid: 'u-1' } }) as Event;

test('a start is timed once, with and without the pulls and the init containers', () => {
  metrics.changed(pod(undefined));
  metrics.event(event('Pulling'));
  now += 4000;
  metrics.event(event('Pulled'));
  // Present already: nothing was pulled.
  metrics.event(event('Pulled'));
  now += 3000;
  const terminated = { startedAt: '2026-01-01T00:00:04Z', finishedAt: '2026-01-01T00:00:06Z', exitCode: 0 };
  const initContainerStatuses = [{ name: 'init', state: { terminated } }] as never;
  for (let pass = 0; pass < 2; pass++) metrics.changed(pod({ phase: 'Running', initContainerStatuses }));
  expect(seriesOf(metrics.all, 'kubelet_pod_start_total_duration_seconds_sum')).toEqual(['= 7']);
  expect(seriesOf(metrics.all, 'kubelet_pod_start_sli_duration_seconds_sum')).toEqual(['= 1']);
  expect(seriesOf(metrics.all, 'kubelet_pod_start_sli_duration_seconds_count')).toEqual(['= 1']);
});

test('each end of a container counts once, however often it is seen', () => {
  for (let pass = 0; pass < 2; pass++) metrics.changed(pod(undefined, [container('a', 'exited', 3)]));
  metrics.changed(pod(undefined, [container('b', 'exited', 3), container('a', 'exited', 3)]));
  expect(seriesOf(metrics.all, 'kubelet_terminated_containers_total')).toEqual(['container 3 Error = 2']);
});

test('a pod that comes again under its UID while it ends has been restarted', () => {
  metrics.changed(pod({ phase: 'Running' }, [], { static: true }));
  metrics.changed(pod({ phase: 'Running' }, [], { static: true, termination: { cause: 'deleted' } }));
  for (let pass = 0; pass < 2; pass++) metrics.changed(pod(undefined, [], { static: true }));
  expect(seriesOf(metrics.all, 'kubelet_restarted_pods_total')).toEqual(['= 0', 'true = 1']);
});

test('a refused pod counts once, with the reason it was refused for', () => {
  const refused = pod({ phase: 'Failed', reason: 'OutOfcpu' }, [], { termination: { cause: 'rejected' } });
  for (let pass = 0; pass < 2; pass++) metrics.changed(refused);
  expect(seriesOf(metrics.all, 'kubelet_admission_rejections_total')).toEqual(['OutOfcpu = 1']);
});

test('what only events tell: user namespaces that could not be made, hooks without TLS, the node that is ready', () => {
  metrics.changed(pod(undefined, [], { pod: { metadata: {}, spec: { containers: [], hostUsers: false } } }));
  for (const reason of ['FailedCreatePodSandBox', 'LifecycleHTTPFallback', 'Created']) metrics.event(event(reason));
  expect(seriesOf(metrics.all, 'kubelet_started_user_namespaced_pods_errors_total')).toEqual(['= 1']);
  expect(seriesOf(metrics.all, 'kubelet_lifecycle_handler_http_fallbacks_total')).toEqual(['= 1']);
  const ready = { reason: 'NodeReady', involvedObject: { kind: 'Node' } } as Event;
  metrics.event(ready);
  now += 1000;
  metrics.event(ready);
  expect(metrics.nodeReadyAt).toBe(now - 1000);
});

test('the first pod with a network of its own is told apart, and when a pod was first seen', () => {
  const seen = {
    metadata: { annotations: { 'kubernetes.io/config.seen': '2025-12-31T23:59:58Z' } },
    spec: { containers: [] },
  };
  metrics.changed(
    pod({ phase: 'Running' }, [], {
      pod: { ...pod(undefined).desired?.pod, spec: { containers: [], hostNetwork: true } },
    }),
  );
  expect(seriesOf(metrics.all, 'kubelet_first_network_pod_start_sli_duration_seconds')).toEqual([]);
  metrics.changed({ ...pod(undefined, [], { pod: seen }), uid: 'u-2' as never });
  expect(seriesOf(metrics.all, 'kubelet_pod_worker_start_duration_seconds_sum')).toEqual(['= 2']);
  now += 3000;
  metrics.changed({ ...pod({ phase: 'Running' }), uid: 'u-3' as never });
  expect(seriesOf(metrics.all, 'kubelet_first_network_pod_start_sli_duration_seconds')).toEqual(['= 3']);
});

test('what pods are now is read when asked for', () => {
  const condition = { type: 'PodResizePending', status: 'True', reason: 'Deferred' };
  const pods = [
    pod({ phase: 'Running', conditions: [condition] } as PodStatus, [container('a', 'running')]),
    pod({ phase: 'Running' }, [container('a', 'running')], { static: true }),
    pod({ phase: 'Failed' }, [], { termination: { cause: 'deleted' }, removed: true }),
    pod({ phase: 'Running' }, [container('a', 'running')], { termination: { cause: 'orphan' } }),
  ];
  const gauges = podGauges(() => pods);
  const working = seriesOf(gauges, 'kubelet_working_pods');
  expect(working.filter((each) => !each.endsWith(' = 0'))).toEqual([
    ...['sync desired  = 1', 'sync desired true = 1', 'terminated orphan  = 1', 'terminating runtime_only unknown = 1'],
  ]);
  // Each that there can be is told: no series is new when a pod gets there.
  expect(working).toHaveLength(15);
  expect(seriesOf(gauges, 'kubelet_mirror_pods')).toEqual(['= 1']);
  expect(seriesOf(gauges, 'kubelet_managed_ephemeral_containers')).toEqual(['= 4']);
  expect(seriesOf(gauges, 'kubelet_pod_pending_resizes')).toEqual(['deferred = 1']);
  expect(seriesOf(gauges, 'kubelet_pod_in_progress_resizes')).toEqual(['= 0']);
});
