export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** The kubelet's HTTPS API; names and defaults are those of KubeletConfiguration (facts 14.1). */
export interface KubeletApiSettings {
  readonly address: string;
  readonly port: number;
  readonly tls: {
    /** Both or none; without them a certificate is made in `certDir`, or taken from there when the cluster issues it. */
    readonly certFile: string | undefined;
    readonly keyFile: string | undefined;
    readonly certDir: string;
    /** `serverTLSBootstrap`: nothing is served before the cluster has issued `kubelet-server-current.pem`. */
    readonly fromCluster: boolean;
    readonly minVersion: TlsVersion;
    /** IANA names, as KubeletConfiguration has them; empty for the platform's own choice. */
    readonly cipherSuites: readonly string[];
    /** Numbers of key exchanges, as KubeletConfiguration has them; empty for the platform's own choice. */
    readonly curves: readonly number[];
  };
  readonly authentication: {
    readonly anonymous: boolean;
    /** Who may sign client certificates; reloaded when it changes. Undefined: no client certificate counts. */
    readonly clientCaFile: string | undefined;
    readonly webhook: { readonly enabled: boolean; readonly cacheMs: number };
  };
  readonly authorization: {
    readonly mode: 'AlwaysAllow' | 'Webhook';
    readonly allowedForMs: number;
    readonly deniedForMs: number;
  };
  /** False: exec, logs and the like answer that they are disabled. */
  readonly debuggingHandlers: boolean;
  readonly systemLogHandler: boolean;
  /** `/logs?query=`. */
  readonly systemLogQuery: boolean;
  /** A stream on which nothing comes for so long, not even a ping, is ended; 0 for never. */
  readonly streamIdleMs: number;
  /** Plain HTTP without authentication, for what may be read by all; 0 for none. */
  readonly readOnlyPort: number;
  /** What `/logs/` shows. */
  readonly nodeLogDir: string;
}

export function defaultKubeletApiSettings(certDir: string, port = 10_250): KubeletApiSettings {
  return {
    address: '0.0.0.0',
    port,
    tls: {
      certFile: undefined,
      keyFile: undefined,
      certDir,
      fromCluster: false,
      minVersion: 'TLSv1.2',
      cipherSuites: [],
      curves: [],
    },
    authentication: { anonymous: false, clientCaFile: undefined, webhook: { enabled: true, cacheMs: 120_000 } },
    authorization: { mode: 'Webhook', allowedForMs: 300_000, deniedForMs: 30_000 },
    debuggingHandlers: true,
    systemLogHandler: true,
    systemLogQuery: false,
    streamIdleMs: 4 * 3600 * 1000,
    readOnlyPort: 0,
    nodeLogDir: '/var/log',
  };
}
