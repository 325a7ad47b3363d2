import type { PluginCall } from '../../../base/call-recorder.js';
import { isGrpcCode } from '../../../proto/wire/index.js';
import { CounterMetric, HistogramMetric, type Accumulator } from './accumulators.js';
import type { PodResourcesMethod } from '../../../deviceplugin/index.js';

const usualSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const csiSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600];
/**
 * From 0.1 to 40, each as many times the last, with the last digits that a kubelet's arithmetic leaves: sums over nodes go by the text of
 * each bound.
 */
const draSeconds = [
  ...[0.1, 0.1534127404634391, 0.23535468936502524, 0.36106407876409946, 0.5539182980610752, 0.849781240983936],
  ...[1.303672689737678, 1.9999999999999993, 3.0682548092687805, 4.7070937873005025, 7.221281575281985],
  ...[11.078365961221499, 16.995624819678714, 26.07345379475354, 39.99999999999997],
];

const csiServices: readonly [RegExp, string][] = [
  [/^(GetPluginInfo|GetPluginCapabilities|Probe)$/, 'Identity'],
  [/^Node/, 'Node'],
];

/** What plugins of devices, claims and storage are called for, under the kubelet's names. */
export class PluginMetrics {
  readonly #registrations = new CounterMetric(
    'kubelet_device_plugin_registration_total',
    'Cumulative number of device plugin registrations. Broken down by resource name.',
  );
  readonly #allocations = new HistogramMetric(
    'kubelet_device_plugin_alloc_duration_seconds',
    'Duration in seconds to serve a device plugin Allocation request. Broken down by resource name.',
    usualSeconds,
  );
  readonly #draCalls = new HistogramMetric(
    'dra_grpc_operations_duration_seconds',
    'Duration in seconds of the DRA gRPC operations',
    draSeconds,
  );
  readonly #claims = new HistogramMetric(
    'dra_operations_duration_seconds',
    'Time to handle all ResourceClaims of a pod when it starts or stops.',
    draSeconds,
  );
  readonly #csiCalls = new HistogramMetric(
    'csi_operations_seconds',
    'Container Storage Interface operation duration with gRPC error code status total',
    csiSeconds,
  );
  readonly #storage = new HistogramMetric(
    'storage_operation_duration_seconds',
    'Storage operation duration',
    csiSeconds,
  );
  readonly #mounts = new HistogramMetric(
    'volume_operation_total_seconds',
    'Storage operation end to end duration in seconds',
    csiSeconds,
  );
  readonly #usages = new HistogramMetric(
    'kubelet_volume_metric_collection_duration_seconds',
    'Duration in seconds to calculate volume stats',
    usualSeconds,
  );
  readonly #images = {
    asked: new CounterMetric('kubelet_image_volume_requested_total', 'Number of requested image volumes.'),
    mounted: new CounterMetric(
      'kubelet_image_volume_mounted_succeed_total',
      'Number of successful image volume mounts.',
    ),
    failed: new CounterMetric('kubelet_image_volume_mounted_errors_total', 'Number of failed image volume mounts.'),
  };
  readonly #credentials = new HistogramMetric(
    'kubelet_credential_provider_plugin_duration',
    'Duration of execution in seconds for credential provider plugin',
    usualSeconds,
  );
  readonly #credentialErrors = new CounterMetric(
    'kubelet_credential_provider_plugin_errors_total',
    'Number of errors from credential provider plugin',
  );
  readonly #podResources = new CounterMetric(
    'kubelet_pod_resources_endpoint_requests_total',
    'Cumulative number of requests to the PodResource endpoint. Broken down by server api version.',
  );
  readonly #podResourcesBy = new Map<string, CounterMetric>(
    (['list', 'get', 'get_allocatable'] as const).flatMap((method) => [
      [method, new CounterMetric(`kubelet_pod_resources_endpoint_requests_${method}`, `Requests of ${method}.`)],
      [
        `${method} failed`,
        new CounterMetric(`kubelet_pod_resources_endpoint_errors_${method}`, `Errors of ${method}.`),
      ],
    ]),
  );

  constructor() {
    for (const counter of Object.values(this.#images)) counter.add({}, 0);
  }

  call({ interface: of, plugin, verb, service }: PluginCall, seconds: number, code: string | undefined): void {
    if (of === 'device-plugin') {
      if (verb === 'Register') this.#registrations.add({ resource_name: plugin });
      if (verb === 'Allocate') this.#allocations.observe({ resource_name: plugin }, seconds);
    }
    if (of === 'credential-provider') {
      this.#credentials.observe({ plugin_name: plugin }, seconds);
      if (code !== undefined) this.#credentialErrors.add({ plugin_name: plugin });
    }
    const status = grpcStatus(code);
    if (of === 'dra' && verb.startsWith('Node')) {
      const method = `/k8s.io.kubelet.pkg.apis.dra.${service ?? 'v1.DRAPlugin'}/${verb}`;
      this.#draCalls.observe({ driver_name: plugin, method_name: method, grpc_status_code: status }, seconds);
    }
    if (of === 'csi' && verb !== 'GetInfo' && verb !== 'NotifyRegistrationStatus') {
      const part = csiServices.find(([pattern]) => pattern.test(verb))?.[1] ?? 'Controller';
      const method = `/csi.v1.${part}/${verb}`;
      const labels = { driver_name: plugin, grpc_status_code: status, method_name: method, migrated: 'false' };
      this.#csiCalls.observe(labels, seconds);
    }
  }

  storageOperation(operation: string, plugin: string, seconds: number, failed: boolean): void {
    if (operation === 'overall_volume_mount')
      return this.#mounts.observe({ operation_name: operation, plugin_name: plugin }, seconds);
    if (operation === 'volume_metric_collection') return this.#usages.observe({ metric_source: plugin }, seconds);
    const status = failed ? 'fail-unknown' : 'success';
    this.#storage.observe({ migrated: 'false', operation_name: operation, status, volume_plugin: plugin }, seconds);
    if (operation !== 'volume_mount' || plugin !== 'kubernetes.io/image') return;
    this.#images.asked.add({});
    this.#images[failed ? 'failed' : 'mounted'].add({});
  }

  claimsHandled(operation: string, seconds: number, failed: boolean): void {
    this.#claims.observe({ is_error: String(failed), operation_name: operation }, seconds);
  }

  podResourcesRequest(method: PodResourcesMethod, version: string, failed: boolean): void {
    const labels = { server_api_version: version };
    this.#podResources.add(labels);
    this.#podResourcesBy.get(method)?.add(labels);
    if (failed) this.#podResourcesBy.get(`${method} failed`)?.add(labels);
  }

  all(): Accumulator[] {
    return [
      this.#registrations,
      this.#allocations,
      this.#draCalls,
      this.#claims,
      this.#csiCalls,
      this.#storage,
      this.#mounts,
      this.#usages,
      ...Object.values(this.#images),
      this.#credentials,
      this.#credentialErrors,
      this.#podResources,
      ...this.#podResourcesBy.values(),
    ];
  }
}

/** Codes of ours that are none of gRPC's. */
const own: Readonly<Record<string, string>> = {
  'driver-timed-out': 'DeadlineExceeded',
  'driver-unreachable': 'Unavailable',
  cancelled: 'Canceled',
};

/** `OK`, `DeadlineExceeded`, ... as gRPC in Go writes them. */
export function grpcStatus(code: string | undefined): string {
  if (code === undefined) return 'OK';
  const known = own[code];
  if (known !== undefined) return known;
  if (!isGrpcCode(code)) return 'Unknown';
  return code.replace(/(^|-)[a-z]/g, (letter) => letter.replace('-', '').toUpperCase());
}
