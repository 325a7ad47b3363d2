import type { AgentConfig } from '../../../config/agent-config.js';
import type { KubeletApiSettings, TlsVersion } from '../settings.js';

const goVersions: Readonly<Record<TlsVersion, string>> = {
  TLSv1: 'VersionTLS10',
  'TLSv1.1': 'VersionTLS11',
  'TLSv1.2': 'VersionTLS12',
  'TLSv1.3': 'VersionTLS13',
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

/** The configuration in force, as far as it is one of a kubelet; for `/configz`. */
export function kubeletConfiguration(config: AgentConfig, settings: KubeletApiSettings): object {
  const { paths, sources, cgroups, dns, limits, security, serving, cluster } = config;
  const { tls, authentication, authorization } = settings;
  return {
    kind: 'KubeletConfiguration',
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
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
