import { expect, test } from 'vitest';
import { noRecorder } from '../../../base/call-recorder.js';
import { countedCalls } from './counted-calls.js';
import { MetricsStore } from './metrics-store.js';
import { grpcStatus } from './plugin-metrics.js';

const seriesOf = (store: MetricsStore, name: string): string[] =>
  store
    .snapshots()
    .filter((each) => each.name === name)
    .flatMap(({ values }) =>
      values
        .filter(({ metricName }) => metricName === name || metricName === `${name}_count`)
        .map(({ labels, value }) => `${Object.values(labels).join(' ')} = ${value}`),
    );

test('calls of plugins are counted under the kubelet’s names', () => {
  const store = new MetricsStore();
  const recorder = countedCalls(noRecorder, store);
  const call = (of: 'device-plugin' | 'dra' | 'csi', plugin: string, verb: string, code?: string): void =>
    recorder.begin({ interface: of, plugin, verb, subject: {} })(code ? { error: { code, message: '' } } : {});
  call('device-plugin', 'a.com/gpu', 'Register');
  call('device-plugin', 'a.com/gpu', 'Allocate');
  call('device-plugin', 'a.com/gpu', 'Allocate', 'plugin-refused');
  call('dra', 'gpu.a.com', 'NodePrepareResources', 'driver-timed-out');
  call('dra', 'gpu.a.com', 'GetInfo');
  const older = { interface: 'dra', plugin: 'old.a.com', service: 'v1beta1.DRAPlugin', subject: {} } as const;
  recorder.begin({ ...older, verb: 'NodeUnprepareResources' })({});
  call('csi', 'csi.a.com', 'NodeStageVolume', 'failed-precondition');
  call('csi', 'csi.a.com', 'GetPluginCapabilities');
  expect(seriesOf(store, 'kubelet_device_plugin_registration_total')).toEqual(['a.com/gpu = 1']);
  expect(seriesOf(store, 'kubelet_device_plugin_alloc_duration_seconds')).toEqual(['a.com/gpu = 2']);
  expect(seriesOf(store, 'dra_grpc_operations_duration_seconds')).toEqual([
    'gpu.a.com /k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/NodePrepareResources DeadlineExceeded = 1',
    'old.a.com /k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin/NodeUnprepareResources OK = 1',
  ]);
  expect(seriesOf(store, 'csi_operations_seconds')).toEqual([
    'csi.a.com FailedPrecondition /csi.v1.Node/NodeStageVolume false = 1',
    'csi.a.com OK /csi.v1.Identity/GetPluginCapabilities false = 1',
  ]);
});

test('runs of credential providers, and those that failed', () => {
  const store = new MetricsStore();
  const recorder = countedCalls(noRecorder, store);
  const call = { interface: 'credential-provider', plugin: 'ecr', verb: 'get', subject: {} } as const;
  recorder.begin(call)({});
  recorder.begin(call)({ error: { code: 'exited', message: '' } });
  expect(seriesOf(store, 'kubelet_credential_provider_plugin_duration')).toEqual(['ecr = 2']);
  expect(seriesOf(store, 'kubelet_credential_provider_plugin_errors_total')).toEqual(['ecr = 1']);
});

test('requests, claims, evictions and gauges of others', () => {
  const store = new MetricsStore();
  store.podResourcesRequest('list', 'v1', false);
  store.podResourcesRequest('get_allocatable', 'v1', true);
  store.claimsHandled('PrepareResources', 0.2, false);
  store.evicted('memory.available', 0.5);
  store.gauge('dra_resource_claims_in_use', 'Claims.', () => [{ labels: { driver_name: '<any>' }, value: 3 }]);
  expect(seriesOf(store, 'kubelet_pod_resources_endpoint_requests_total')).toEqual(['v1 = 2']);
  expect(seriesOf(store, 'kubelet_pod_resources_endpoint_errors_get_allocatable')).toEqual(['v1 = 1']);
  expect(seriesOf(store, 'kubelet_pod_resources_endpoint_errors_list')).toEqual([]);
  expect(seriesOf(store, 'dra_operations_duration_seconds')).toEqual(['false PrepareResources = 1']);
  expect(seriesOf(store, 'kubelet_evictions')).toEqual(['memory.available = 1']);
  expect(seriesOf(store, 'kubelet_eviction_stats_age_seconds')).toEqual(['memory.available = 1']);
  expect(seriesOf(store, 'dra_resource_claims_in_use')).toEqual(['<any> = 3']);
});

test('claims and calls of their drivers have the bounds of a kubelet to the last digit', () => {
  const store = new MetricsStore();
  store.claimsHandled('PrepareResources', 0.2, false);
  const bounds = store
    .snapshots()
    .flatMap(({ values }) => values)
    .filter(({ metricName }) => metricName === 'dra_operations_duration_seconds_bucket')
    .map(({ labels }) => String(labels['le']));
  expect(bounds.join(' ')).toBe(
    '0.1 0.1534127404634391 0.23535468936502524 0.36106407876409946 0.5539182980610752 0.849781240983936 1.303672689737678 ' +
      '1.9999999999999993 3.0682548092687805 4.7070937873005025 7.221281575281985 11.078365961221499 16.995624819678714 ' +
      '26.07345379475354 39.99999999999997 +Inf',
  );
});

test('mounts of images are storage operations with counts of their own; several may know series of one metric', () => {
  const store = new MetricsStore();
  for (const [operation, plugin, failed] of [
    ['volume_mount', 'kubernetes.io/image', false],
    ['volume_mount', 'kubernetes.io/image', true],
    ['volume_unmount', 'kubernetes.io/image', false],
    ['overall_volume_mount', 'kubernetes.io/image', false],
    ['volume_mount', 'kubernetes.io/secret', false],
  ] as const)
    store.storageOperation(operation, plugin, 0.1, failed);
  const counts = ['requested_total', 'mounted_succeed_total', 'mounted_errors_total'];
  expect(counts.flatMap((name) => seriesOf(store, `kubelet_image_volume_${name}`))).toEqual([' = 2', ' = 1', ' = 1']);
  for (const state of ['actual', 'desired'])
    store.gauge('volumes', 'Volumes.', () => [{ labels: { state }, value: 1 }]);
  expect(seriesOf(store, 'volumes')).toEqual(['actual = 1', 'desired = 1']);
  expect(store.snapshots().filter(({ name }) => name === 'volumes')).toHaveLength(1);
});

test('how long it took to measure volumes is told by the way it was done, and is no operation of storage', () => {
  const store = new MetricsStore();
  for (const way of ['du', 'du', 'hostpath.csi.example.com'])
    store.storageOperation('volume_metric_collection', way, 0.1, false);
  expect(seriesOf(store, 'kubelet_volume_metric_collection_duration_seconds')).toEqual([
    'du = 2',
    'hostpath.csi.example.com = 1',
  ]);
  expect(seriesOf(store, 'storage_operation_duration_seconds')).toEqual([]);
});

test.each([
  [undefined, 'OK'],
  ['not-found', 'NotFound'],
  ['driver-unreachable', 'Unavailable'],
  ['plugin-refused', 'Unknown'],
])('%s is %s', (code, status) => {
  expect(grpcStatus(code)).toBe(status);
});
