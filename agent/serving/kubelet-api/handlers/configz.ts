import type { AgentConfig } from '../../../config/agent-config.js';
import { kubeletFields, withDefaults } from '../../../config/kubelet/index.js';
import type { Field } from '../../../config/kubelet/field-types.js';
import type { KubeletApiSettings, TlsVersion } from '../settings.js';

const goVersions: Readonly<Record<TlsVersion, string>> = {
  TLSv1: 'VersionTLS10',
  'TLSv1.1': 'VersionTLS11',
  'TLSv1.2': 'VersionTLS12',
  'TLSv1.3': 'VersionTLS13',
};

/** In force where a file says nothing of it (facts 4.4). */
const defaultEviction = {
  'imagefs.available': '15%',
  'imagefs.inodesFree': '5%',
  'memory.available': '100Mi',
  'nodefs.available': '10%',
  'nodefs.inodesFree': '5%',
};

/** A duration as Go prints it. */
export function goDuration(ms: number): string {
  if (ms === 0) return '0s';
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = (ms % 60_000) / 1000;
  const tail = `${seconds}s`;
  if (hours > 0) return `${hours}h${minutes}m${tail}`;
  return minutes > 0 ? `${minutes}m${tail}` : tail;
}

/** What was configured, as a file says it. What an HTTP source is asked with may be a secret. */
function asWritten(field: Field, value: unknown): unknown {
  if (field.is === 'duration') return goDuration(Number(value));
  if (field.is === 'object') return fieldsAsWritten(field.fields, value);
  if (field.is === 'objects') return (value as readonly unknown[]).map((each) => fieldsAsWritten(field.fields, each));
  if (field.is === 'lists-map') return Object.fromEntries(Object.keys(value as object).map((key) => [key, ['***']]));
  return value;
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === '' ||
  (typeof value === 'object' && value !== null && Object.keys(value).length === 0);

function fieldsAsWritten(fields: Readonly<Record<string, Field>>, values: unknown): Record<string, unknown> {
  const all = values as Readonly<Record<string, unknown>>;
  const named = Object.entries(fields).filter(([name]) => !isEmpty(all[name]));
  return Object.fromEntries(named.map(([name, field]) => [name, asWritten(field, all[name])]));
}

/** The configuration in force; what the agent decided itself goes before what the file says. For `/configz`. */
export function kubeletConfiguration(config: AgentConfig, settings: KubeletApiSettings): object {
  const { paths, sources, cgroups, dns, limits, security, serving, cluster } = config;
  const { tls, authentication, authorization } = settings;
  return {
    kind: 'KubeletConfiguration',
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    evictionHard: defaultEviction,
    memorySwap: {},
    ...fieldsAsWritten(kubeletFields, config.kubelet ?? withDefaults({})),
    enableServer: true,
    staticPodPath: sources.manifestPath,
    staticPodURL: sources.manifestUrl,
    podLogsDir: paths.podLogsDir,
    fileCheckFrequency: goDuration(sources.fileCheckMs),
    httpCheckFrequency: goDuration(sources.httpCheckMs),
    address: settings.address,
    port: settings.port,
    tlsCertFile: tls.certFile,
    tlsPrivateKeyFile: tls.keyFile,
    tlsMinVersion: goVersions[tls.minVersion],
    ...(tls.cipherSuites.length > 0 && { tlsCipherSuites: tls.cipherSuites }),
    rotateCertificates: cluster?.rotateCertificates,
    serverTLSBootstrap: tls.fromCluster,
    authentication: {
      x509: { clientCAFile: authentication.clientCaFile },
      webhook: { enabled: authentication.webhook.enabled, cacheTTL: goDuration(authentication.webhook.cacheMs) },
      anonymous: { enabled: authentication.anonymous },
    },
    authorization: {
      mode: authorization.mode,
      webhook: {
        cacheAuthorizedTTL: goDuration(authorization.allowedForMs),
        cacheUnauthorizedTTL: goDuration(authorization.deniedForMs),
      },
    },
    enableDebuggingHandlers: settings.debuggingHandlers,
    enableSystemLogHandler: settings.systemLogHandler,
    enableSystemLogQuery: settings.systemLogQuery,
    enableProfilingHandler: false,
    enableDebugFlagsHandler: false,
    healthzPort: serving.healthzPort,
    healthzBindAddress: serving.healthzAddress,
    clusterDomain: dns.domain,
    clusterDNS: dns.servers,
    resolvConf: dns.resolvConf,
    ...(cluster && {
      nodeStatusUpdateFrequency: goDuration(cluster.statusEveryMs),
      nodeStatusReportFrequency: goDuration(cluster.reportEveryMs),
      nodeLeaseDurationSeconds: cluster.leaseSeconds,
      eventRecordQPS: cluster.events.perSecond,
      eventBurst: cluster.events.burst,
      registerNode: cluster.registerNode,
      registerWithTaints: cluster.taints,
      providerID: cluster.providerId,
    }),
    cgroupRoot: cgroups.root,
    cgroupDriver: cgroups.driver,
    cpuCFSQuota: cgroups.cpuCfsQuota,
    cpuCFSQuotaPeriod: `${cgroups.cpuPeriodUs / 1000}ms`,
    podPidsLimit: cgroups.podPidsLimit,
    maxPods: limits.maxPods,
    maxParallelImagePulls: limits.parallelPulls,
    crashLoopBackOff: { maxContainerRestartPeriod: goDuration(limits.restartBackoffMaxMs) },
    seccompDefault: security.seccompDefault,
    allowedUnsafeSysctls: security.allowedUnsafeSysctls,
    containerRuntimeEndpoint: config.runtime.endpoint,
  };
}
