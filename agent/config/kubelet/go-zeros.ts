import { parseGoDuration } from './durations.js';

type Json = Readonly<Record<string, unknown>>;

/**
 * Fields in which the kubelet takes nothing for "not said": its files are written by programs in Go, kubeadm among them, and these write such
 * fields out with 0s, 0 or "". A zero of any other field means what it says.
 */
const unsaid: readonly string[] = [
  ...['syncFrequency', 'fileCheckFrequency', 'httpCheckFrequency', 'streamingConnectionIdleTimeout'],
  ...['nodeStatusUpdateFrequency', 'nodeStatusReportFrequency', 'nodeLeaseDurationSeconds'],
  ...['imageMinimumGCAge', 'volumeStatsAggPeriod', 'cpuManagerReconcilePeriod', 'runtimeRequestTimeout'],
  ...['evictionPressureTransitionPeriod', 'registryBurst', 'eventBurst', 'kubeAPIBurst', 'maxPods', 'maxOpenFiles'],
  ...['address', 'port', 'healthzBindAddress', 'contentType', 'hairpinMode', 'podLogsDir', 'volumePluginDir'],
  ...['cgroupDriver', 'cpuManagerPolicy', 'memoryManagerPolicy', 'topologyManagerPolicy', 'topologyManagerScope'],
  ...['containerLogMaxSize', 'configMapAndSecretChangeDetectionStrategy', 'containerRuntimeEndpoint'],
  ...['imagePullCredentialsVerificationPolicy', 'memoryReservationPolicy'],
  ...['authentication.webhook.cacheTTL', 'authorization.mode'],
  ...['authorization.webhook.cacheAuthorizedTTL', 'authorization.webhook.cacheUnauthorizedTTL'],
];

/** The document of a file without the fields in which it says nothing. */
export function withoutGoZeros(document: Json): Json {
  return without(document, new Set(unsaid), '');
}

function without(value: Json, fields: ReadonlySet<string>, at: string): Json {
  const kept = Object.entries(value).flatMap(([key, each]): [string, unknown][] => {
    const path = `${at}${key}`;
    if (fields.has(path)) return isZero(each) ? [] : [[key, each]];
    return [[key, isObject(each) ? without(each, fields, `${path}.`) : each]];
  });
  return Object.fromEntries(kept);
}

const isZero = (value: unknown): boolean =>
  value === 0 || value === '' || (typeof value === 'string' && parseGoDuration(value) === 0);

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
