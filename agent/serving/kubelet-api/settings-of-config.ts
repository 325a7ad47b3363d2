import { join } from 'node:path';
import type { AgentConfig } from '../../config/agent-config.js';
import { curveIds } from './tls/curves.js';
import { defaultKubeletApiSettings, type KubeletApiSettings, type TlsVersion } from './settings.js';

const tlsVersions: Readonly<Record<string, TlsVersion>> = {
  VersionTLS10: 'TLSv1',
  VersionTLS11: 'TLSv1.1',
  VersionTLS12: 'TLSv1.2',
  VersionTLS13: 'TLSv1.3',
};

const named = (path: string | undefined): string | undefined => (path ? path : undefined);

/**
 * What the configuration says of the kubelet API; undefined where there is to be none. Without a cluster nobody can be asked who
 * somebody is, so it is served only where the configuration itself lets somebody in.
 */
export function kubeletApiSettings({ kubelet, cluster, paths }: AgentConfig): KubeletApiSettings | undefined {
  const certDir = cluster?.certDir ?? join(paths.rootDir, 'pki');
  const defaults = defaultKubeletApiSettings(certDir, cluster?.kubeletPort);
  if (!kubelet) return cluster ? defaults : undefined;
  const { x509, webhook, anonymous } = kubelet.authentication ?? {};
  const letsIn = named(x509?.clientCAFile) !== undefined || anonymous?.enabled === true || kubelet.readOnlyPort > 0;
  if (!kubelet.enableServer || kubelet.port === 0 || (!cluster && !letsIn)) return undefined;
  const { mode, webhook: review } = kubelet.authorization ?? {};
  const { tls, authentication, authorization } = defaults;
  return {
    ...defaults,
    address: kubelet.address,
    port: kubelet.port,
    tls: {
      ...tls,
      certFile: named(kubelet.tlsCertFile),
      keyFile: named(kubelet.tlsPrivateKeyFile),
      fromCluster: kubelet.serverTLSBootstrap,
      minVersion: tlsVersions[kubelet.tlsMinVersion] ?? tls.minVersion,
      cipherSuites: kubelet.tlsCipherSuites,
      curves: curveIds(kubelet.tlsCurvePreferences),
    },
    authentication: {
      anonymous: anonymous?.enabled ?? authentication.anonymous,
      clientCaFile: named(x509?.clientCAFile),
      webhook: {
        enabled: webhook?.enabled ?? authentication.webhook.enabled,
        cacheMs: webhook?.cacheTTL ?? authentication.webhook.cacheMs,
      },
    },
    authorization: {
      mode: mode ?? authorization.mode,
      allowedForMs: review?.cacheAuthorizedTTL ?? authorization.allowedForMs,
      deniedForMs: review?.cacheUnauthorizedTTL ?? authorization.deniedForMs,
    },
    debuggingHandlers: kubelet.enableDebuggingHandlers,
    systemLogHandler: kubelet.enableSystemLogHandler,
    systemLogQuery: kubelet.enableSystemLogQuery,
    streamIdleMs: kubelet.streamingConnectionIdleTimeout,
    readOnlyPort: kubelet.readOnlyPort,
  };
}
