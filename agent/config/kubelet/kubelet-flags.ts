import type { ConfigProblem } from './decode-fields.js';
import type { Field, Fields } from './field-types.js';

/**
 * The kubelet's flags that set a field of its configuration, by the field's path, besides those that `berth agent` lists itself. Tools
 * that prepare nodes (kubeadm, kind, minikube, cloud images) still pass some of them.
 */
export const fieldFlags: Readonly<Record<string, string>> = {
  address: 'address',
  'allowed-unsafe-sysctls': 'allowedUnsafeSysctls',
  'anonymous-auth': 'authentication.anonymous.enabled',
  'authentication-token-webhook': 'authentication.webhook.enabled',
  'authentication-token-webhook-cache-ttl': 'authentication.webhook.cacheTTL',
  'authorization-mode': 'authorization.mode',
  'authorization-webhook-cache-authorized-ttl': 'authorization.webhook.cacheAuthorizedTTL',
  'authorization-webhook-cache-unauthorized-ttl': 'authorization.webhook.cacheUnauthorizedTTL',
  'cgroup-driver': 'cgroupDriver',
  'cgroups-per-qos': 'cgroupsPerQOS',
  'client-ca-file': 'authentication.x509.clientCAFile',
  'cluster-dns': 'clusterDNS',
  'cluster-domain': 'clusterDomain',
  'container-log-max-files': 'containerLogMaxFiles',
  'container-log-max-size': 'containerLogMaxSize',
  'contention-profiling': 'enableContentionProfiling',
  'cpu-cfs-quota': 'cpuCFSQuota',
  'cpu-cfs-quota-period': 'cpuCFSQuotaPeriod',
  'cpu-manager-policy': 'cpuManagerPolicy',
  'cpu-manager-policy-options': 'cpuManagerPolicyOptions',
  'cpu-manager-reconcile-period': 'cpuManagerReconcilePeriod',
  'enable-controller-attach-detach': 'enableControllerAttachDetach',
  'enable-debugging-handlers': 'enableDebuggingHandlers',
  'enable-server': 'enableServer',
  'enforce-node-allocatable': 'enforceNodeAllocatable',
  'event-burst': 'eventBurst',
  'event-qps': 'eventRecordQPS',
  'eviction-hard': 'evictionHard',
  'eviction-max-pod-grace-period': 'evictionMaxPodGracePeriod',
  'eviction-minimum-reclaim': 'evictionMinimumReclaim',
  'eviction-pressure-transition-period': 'evictionPressureTransitionPeriod',
  'eviction-soft': 'evictionSoft',
  'eviction-soft-grace-period': 'evictionSoftGracePeriod',
  'fail-cgroupv1': 'failCgroupV1',
  'fail-swap-on': 'failSwapOn',
  'file-check-frequency': 'fileCheckFrequency',
  'hairpin-mode': 'hairpinMode',
  'healthz-bind-address': 'healthzBindAddress',
  'http-check-frequency': 'httpCheckFrequency',
  'image-gc-high-threshold': 'imageGCHighThresholdPercent',
  'image-gc-low-threshold': 'imageGCLowThresholdPercent',
  'image-service-endpoint': 'imageServiceEndpoint',
  'kernel-memcg-notification': 'kernelMemcgNotification',
  'kube-api-burst': 'kubeAPIBurst',
  'kube-api-content-type': 'contentType',
  'kube-api-qps': 'kubeAPIQPS',
  'kube-reserved': 'kubeReserved',
  'kube-reserved-cgroup': 'kubeReservedCgroup',
  'kubelet-cgroups': 'kubeletCgroups',
  'local-storage-capacity-isolation': 'localStorageCapacityIsolation',
  'make-iptables-util-chains': 'makeIPTablesUtilChains',
  'manifest-url-header': 'staticPodURLHeader',
  'max-open-files': 'maxOpenFiles',
  'max-pods': 'maxPods',
  'memory-manager-policy': 'memoryManagerPolicy',
  'minimum-image-ttl-duration': 'imageMinimumGCAge',
  'node-status-max-images': 'nodeStatusMaxImages',
  'node-status-update-frequency': 'nodeStatusUpdateFrequency',
  'oom-score-adj': 'oomScoreAdj',
  'pod-cidr': 'podCIDR',
  'pod-manifest-path': 'staticPodPath',
  'pod-max-pids': 'podPidsLimit',
  'pods-per-core': 'podsPerCore',
  port: 'port',
  'protect-kernel-defaults': 'protectKernelDefaults',
  'qos-reserved': 'qosReserved',
  'read-only-port': 'readOnlyPort',
  'registry-burst': 'registryBurst',
  'registry-qps': 'registryPullQPS',
  'reserved-cpus': 'reservedSystemCPUs',
  'reserved-memory': 'reservedMemory',
  'resolv-conf': 'resolvConf',
  'rotate-server-certificates': 'serverTLSBootstrap',
  runonce: 'runOnce',
  'runtime-request-timeout': 'runtimeRequestTimeout',
  'serialize-image-pulls': 'serializeImagePulls',
  'streaming-connection-idle-timeout': 'streamingConnectionIdleTimeout',
  'sync-frequency': 'syncFrequency',
  'system-cgroups': 'systemCgroups',
  'system-reserved': 'systemReserved',
  'system-reserved-cgroup': 'systemReservedCgroup',
  'tls-cert-file': 'tlsCertFile',
  'tls-cipher-suites': 'tlsCipherSuites',
  'tls-min-version': 'tlsMinVersion',
  'tls-private-key-file': 'tlsPrivateKeyFile',
  'topology-manager-policy': 'topologyManagerPolicy',
  'topology-manager-policy-options': 'topologyManagerPolicyOptions',
  'topology-manager-scope': 'topologyManagerScope',
  'volume-plugin-dir': 'volumePluginDir',
  'volume-stats-agg-period': 'volumeStatsAggPeriod',
};

const logging = 'use --log-level';
const cadvisor = 'there is no cAdvisor in berth';
const garbage = 'see the eviction settings';

/** Flags that a kubelet of 1.33 to 1.36 takes and that change nothing here, and why. */
export const idleFlags: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['v', 'vmodule', 'logtostderr', 'alsologtostderr', 'logging-format', 'log-flush-frequency']
      .concat(
        'log-json-info-buffer-size',
        'log-json-split-stream',
        'log-text-info-buffer-size',
        'log-text-split-stream',
      )
      .map((name) => [name, logging]),
  ),
  ...Object.fromEntries(
    ['application-metrics-count-limit', 'boot-id-file', 'container-hints', 'containerd', 'containerd-namespace']
      .concat('enable-load-reader', 'event-storage-age-limit', 'event-storage-event-limit', 'housekeeping-interval')
      .concat('global-housekeeping-interval', 'max-housekeeping-interval', 'log-cadvisor-usage', 'machine-id-file')
      .concat(
        ['buffer-duration', 'db', 'host', 'password', 'secure', 'table', 'user'].map((of) => `storage-driver-${of}`),
      )
      .map((name) => [name, cadvisor]),
  ),
  'minimum-container-ttl-duration': garbage,
  'maximum-dead-containers': garbage,
  'maximum-dead-containers-per-container': garbage,
  'pod-infra-container-image': 'the runtime decides what a sandbox is made of, and the embedded one needs no image',
  'container-runtime': 'see --container-runtime-endpoint',
  'lock-file': 'a socket of its own tells that another agent runs',
  'exit-on-lock-contention': 'a second agent never starts',
  'experimental-mounter-path': 'it is gone from the kubelet',
  'experimental-allocatable-ignore-eviction': 'it is gone from the kubelet',
};

/** Has no key in the file. */
export const runtimeCgroupsFlag = 'runtime-cgroups';

export const kubeletFlagNames: readonly string[] = [
  ...Object.keys(fieldFlags),
  ...Object.keys(idleFlags),
  runtimeCgroupsFlag,
];

type Json = Record<string, unknown>;

/** What was given on the command line, laid over what the files say. Values that cannot be are left for the decoder to refuse. */
export function overlayFlags(file: Json, given: Readonly<Record<string, string>>, fields: Fields): Json {
  const merged = structuredClone(file);
  for (const [flag, text] of Object.entries(given)) {
    const path = fieldFlags[flag]?.split('.');
    if (path) put(merged, path, valueOf(fieldAt(fields, path), flag, text));
  }
  return merged;
}

/** Flags instead of the paths of the fields that they set. */
export function namedAfterFlags(given: Readonly<Record<string, string>>) {
  return ({ path, message }: ConfigProblem): ConfigProblem => {
    const flag = Object.keys(given).find(
      (name) => fieldFlags[name] === path || path.startsWith(`${fieldFlags[name]}.`),
    );
    return { path: flag === undefined ? path : `--${flag}`, message };
  };
}

export function idleGiven(given: Readonly<Record<string, string>>): ConfigProblem[] {
  return Object.keys(given).flatMap((name) => {
    const message = idleFlags[name];
    return message === undefined ? [] : [{ path: `--${name}`, message }];
  });
}

function fieldAt(fields: Fields, [name = '', ...rest]: readonly string[]): Field | undefined {
  const field = fields[name];
  return rest.length > 0 && field?.is === 'object' ? fieldAt(field.fields, rest) : field;
}

function put(target: Json, [name = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    target[name] = value;
    return;
  }
  const below = target[name];
  const object: Json = typeof below === 'object' && below !== null ? (below as Json) : {};
  target[name] = object;
  put(object, rest, value);
}

const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

const truths: Readonly<Record<string, boolean>> = {
  '1': true,
  t: true,
  true: true,
  '0': false,
  f: false,
  false: false,
};

/** As Go's flags read them. */
function valueOf(field: Field | undefined, flag: string, text: string): unknown {
  switch (field?.is) {
    case 'bool':
      return truths[text.toLowerCase()] ?? text;
    case 'int':
    case 'number':
      return /^[-+]?\d+$/.test(text.trim()) ? Number(text) : text;
    case 'strings':
      return listOf(text);
    case 'string-map':
      return pairs(listOf(text), /^eviction-(hard|soft)$/.test(flag) ? '<' : '=') ?? text;
    case 'lists-map': {
      const single = pairs(listOf(text), ':');
      return single && Object.fromEntries(Object.entries(single).map(([key, value]) => [key, [value]]));
    }
    case 'objects':
      return reservedMemory(text) ?? text;
    default:
      return text;
  }
}

function pairs(items: readonly string[], separator: string): Record<string, string> | undefined {
  const found = items.map((item) => [item.indexOf(separator), item] as const);
  if (found.some(([at]) => at < 1)) return undefined;
  return Object.fromEntries(found.map(([at, item]) => [item.slice(0, at).trim(), item.slice(at + 1).trim()]));
}

/** `0:memory=1Gi,hugepages-2Mi=2Mi;1:memory=1Gi`. */
function reservedMemory(text: string): object[] | undefined {
  const nodes = text.split(';').map((part) => /^\s*(\d+):(.*)$/.exec(part));
  const read = nodes.map((match) => ({ numaNode: Number(match?.[1]), limits: pairs(listOf(match?.[2] ?? ''), '=') }));
  return nodes.every((match) => match) && read.every(({ limits }) => limits) ? read : undefined;
}
