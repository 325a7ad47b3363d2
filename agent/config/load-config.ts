import { join } from 'node:path';
import { poolProblems } from '../../deviceplugin/index.js';
import type { Taint } from '../api/index.js';
import { defaultConfig, type AgentConfig } from './agent-config.js';
import type { AgentFlags } from './agent-flags.js';
import { defaultClusterSettings, type ClusterSettings } from './cluster-config.js';
import { readCredentialProviders } from './credential-providers.js';
import {
  berthFields,
  ConfigError,
  decodeFields,
  idleGiven,
  kubeletFields,
  namedAfterFlags,
  overlayFlags,
  readDocuments,
  runtimeCgroupsFlag,
  validateKubelet,
  withDefaults,
  withoutGoZeros,
  type ConfigProblem,
  type KubeletConfiguration,
  type ObjectOf,
} from './kubelet/index.js';
import { parseGates, parseLabels, parseNodeIps, parseTaints } from './parse-flags.js';

export interface Machine {
  readonly hostname: string;
  readonly cpus: number;
}

export interface LoadedConfig {
  readonly config: AgentConfig;
  /** Settings that are known and change nothing, for `berth check`: `path: why`. */
  readonly idle: readonly ConfigProblem[];
}

type BerthSettings = ObjectOf<typeof berthFields>;

/**
 * Built-in defaults, then `--config`, then the files of `--config-dir`, then flags: one frozen tree. Throws a `ConfigError` that
 * tells all problems.
 */
export async function loadConfig(flags: AgentFlags, machine: Machine): Promise<LoadedConfig> {
  const problems: ConfigProblem[] = [];
  const wrong = (problem: ConfigProblem): void => void problems.push(problem);
  const documents = await readDocuments(flags.config, flags.configDir, kubeletFields);
  const { kubelet: kubeletFlags = {} } = flags;
  const given = overlayFlags(withoutGoZeros(documents.kubelet), kubeletFlags, kubeletFields);
  const decoded = decodeFields(kubeletFields, given);
  const named = namedAfterFlags(kubeletFlags);
  const berth = decodeFields(berthFields, documents.berth);
  problems.push(
    ...decoded.problems.map(named),
    ...berth.problems.map(({ path, message }) => ({ path: `BerthConfiguration: ${path}`, message })),
  );
  const kubelet = withFlags(withDefaults(decoded.value), flags, wrong);
  // Rules between fields only make sense of fields that are right.
  if (problems.length === 0) problems.push(...validateKubelet(kubelet).map(named));
  const nodeName = (flags.hostnameOverride ?? flags.nodeName ?? machine.hostname).trim().toLowerCase();
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(nodeName))
    wrong({ path: '--hostname-override', message: `${JSON.stringify(nodeName)} is not a DNS name` });
  const cluster = clusterOf(kubelet, flags, wrong);
  const { imageCredentialProviderConfig, imageCredentialProviderBinDir } = flags;
  const providers = await readCredentialProviders(imageCredentialProviderConfig, imageCredentialProviderBinDir, wrong);
  for (const { path, message } of poolProblems(devicePoolsOf(berth.value)))
    wrong({ path: `BerthConfiguration: ${path}`, message });
  if (problems.length > 0) throw new ConfigError(problems);
  const base = merged(defaultConfig(nodeName, machine.cpus), kubelet, berth.value, flags, given);
  const images = { credentialProviders: providers, ...imagesOf(kubelet, decoded.value) };
  const runtime = { ...base.runtime, cgroups: flags.kubelet?.[runtimeCgroupsFlag] || undefined };
  const config: AgentConfig = { ...base, runtime, kubelet, images, ...(cluster && { cluster }) };
  const idle = [
    ...decoded.idle.map(named),
    ...idleGates(kubelet.featureGates),
    ...idleGiven(kubeletFlags),
    ...berth.idle,
  ];
  return { config: deepFreeze(config), idle };
}

const verificationGate = 'KubeletEnsureSecretPulledImages';

/** What a kubelet does behind a gate berth does, or does not, without one. */
function idleGates(gates: Readonly<Record<string, boolean>>): ConfigProblem[] {
  const others = Object.keys(gates).filter((gate) => gate !== verificationGate);
  const message = `the only gate that berth looks at is ${verificationGate}`;
  return others.map((gate) => ({ path: `featureGates.${gate}`, message }));
}

function devicePoolsOf({ devicePools = [] }: BerthSettings): AgentConfig['devices']['pools'] {
  return devicePools.map(({ resource = '', paths = [], permissions, share }) => {
    return { resource, paths, permissions, share };
  });
}

/** A flag goes before the file, a feature gate each for itself. */
function withFlags(
  kubelet: KubeletConfiguration,
  flags: AgentFlags,
  wrong: (problem: ConfigProblem) => void,
): KubeletConfiguration {
  const taints = flags.registerWithTaints === undefined ? undefined : parseTaints(flags.registerWithTaints, wrong);
  return {
    ...kubelet,
    ...(taints && { registerWithTaints: taints }),
    ...(flags.registerNode !== undefined && { registerNode: flags.registerNode }),
    ...(flags.providerId !== undefined && { providerID: flags.providerId }),
    ...(flags.seccompDefault !== undefined && { seccompDefault: flags.seccompDefault }),
    ...(flags.rotateCertificates !== undefined && { rotateCertificates: flags.rotateCertificates }),
    ...(flags.containerRuntimeEndpoint !== undefined && { containerRuntimeEndpoint: flags.containerRuntimeEndpoint }),
    ...(flags.manifests !== undefined && { staticPodPath: flags.manifests }),
    ...(flags.manifestUrl !== undefined && { staticPodURL: flags.manifestUrl }),
    ...(flags.podLogsDir !== undefined && { podLogsDir: flags.podLogsDir }),
    ...(flags.cgroupRoot !== undefined && { cgroupRoot: flags.cgroupRoot }),
    ...(flags.healthzPort !== undefined && { healthzPort: flags.healthzPort }),
    featureGates: { ...kubelet.featureGates, ...parseGates(flags.featureGates, wrong) },
  };
}

function clusterOf(
  kubelet: KubeletConfiguration,
  flags: AgentFlags,
  wrong: (problem: ConfigProblem) => void,
): ClusterSettings | undefined {
  const labels = parseLabels(flags.nodeLabels, wrong);
  const nodeIps = parseNodeIps(flags.nodeIp, wrong);
  const { cloudProvider = '' } = flags;
  if (cloudProvider !== '' && cloudProvider !== 'external')
    wrong({ path: '--cloud-provider', message: `expected "" or "external", got ${JSON.stringify(cloudProvider)}` });
  if (flags.kubeconfig === undefined) {
    if (flags.bootstrapKubeconfig !== undefined)
      wrong({
        path: '--kubeconfig',
        message: 'is needed with --bootstrap-kubeconfig: it is where the result is written',
      });
    return undefined;
  }
  return {
    ...defaultClusterSettings(flags.kubeconfig),
    bootstrapKubeconfig: flags.bootstrapKubeconfig,
    certDir: flags.certDir ?? join(flags.rootDir ?? '/var/lib/kubelet', 'pki'),
    rotateCertificates: kubelet.rotateCertificates,
    serverTlsBootstrap: kubelet.serverTLSBootstrap,
    registerNode: kubelet.registerNode,
    controllerAttaches: kubelet.enableControllerAttachDetach,
    labels,
    taints: kubelet.registerWithTaints.map(({ key = '', value, effect }): Taint => {
      return { key, ...(value && { value }), effect: effect ?? 'NoSchedule' };
    }),
    nodeIps,
    providerId: kubelet.providerID === '' ? undefined : kubelet.providerID,
    externalCloudProvider: cloudProvider === 'external',
    statusEveryMs: kubelet.nodeStatusUpdateFrequency,
    reportEveryMs: kubelet.nodeStatusReportFrequency,
    leaseSeconds: kubelet.nodeLeaseDurationSeconds,
    events: { perSecond: kubelet.eventRecordQPS, burst: kubelet.eventBurst },
    kubeletPort: kubelet.port,
  };
}

/** The rate is only kept where the file names one: berth's own limit is how many are pulled at once. */
function imagesOf(
  kubelet: KubeletConfiguration,
  given: ObjectOf<typeof kubeletFields>,
): Omit<NonNullable<AgentConfig['images']>, 'credentialProviders'> {
  const { registryPullQPS = 0, registryBurst = 10 } = given;
  const isVerified = kubelet.featureGates[verificationGate] !== false;
  return {
    pullRate: registryPullQPS > 0 ? { perSecond: registryPullQPS, burst: Math.max(registryBurst, 1) } : undefined,
    verification: isVerified
      ? {
          policy: kubelet.imagePullCredentialsVerificationPolicy,
          allowlist: kubelet.preloadedImagesVerificationAllowlist,
        }
      : undefined,
  };
}

/** `given` is what the files say without defaults: berth's own defaults stay where the file says nothing. */
function merged(
  base: AgentConfig,
  kubelet: KubeletConfiguration,
  berth: BerthSettings,
  flags: AgentFlags,
  given: object,
): AgentConfig {
  const runDir = flags.runDir ?? berth.runDir ?? base.paths.runDir;
  const logsMoved = kubelet.podLogsDir !== base.paths.podLogsDir;
  const parallelPulls =
    kubelet.maxParallelImagePulls ?? ('serializeImagePulls' in given && kubelet.serializeImagePulls ? 1 : undefined);
  const absent = (text: string): string | undefined => (text === '' ? undefined : text);
  // A path alone is a socket's, as older files have it.
  const withScheme = (text: string): string | undefined => absent(text.startsWith('/') ? `unix://${text}` : text);
  const endpoint = berth.runtime ?? withScheme(kubelet.containerRuntimeEndpoint);
  return {
    ...base,
    paths: {
      rootDir: flags.rootDir ?? base.paths.rootDir,
      shareRootDir: flags.shareRootDir ?? berth.shareRootDir ?? base.paths.shareRootDir,
      stateDir: flags.stateDir ?? berth.stateDir ?? base.paths.stateDir,
      runDir,
      podLogsDir: kubelet.podLogsDir,
      containerLogsDir: berth.containerLogsDir ?? (logsMoved ? undefined : base.paths.containerLogsDir),
      cniConfDir: flags.cniConfDir ?? berth.cniConfDir ?? base.paths.cniConfDir,
      cniBinDirs: berth.cniBinDirs ?? base.paths.cniBinDirs,
      volumePluginDir: kubelet.volumePluginDir,
    },
    sources: {
      manifestPath: absent(kubelet.staticPodPath),
      manifestUrl: absent(kubelet.staticPodURL),
      manifestHeaders: kubelet.staticPodURLHeader,
      fileCheckMs: kubelet.fileCheckFrequency,
      httpCheckMs: kubelet.httpCheckFrequency,
    },
    runtime: {
      endpoint: endpoint ?? base.runtime.endpoint,
      imageEndpoint: withScheme(kubelet.imageServiceEndpoint),
      requestTimeoutMs: kubelet.runtimeRequestTimeout,
      ociRuntimes: { ...base.runtime.ociRuntimes, ...berth.ociRuntimes },
      insecureRegistries: flags.insecureRegistry ?? berth.insecureRegistries ?? base.runtime.insecureRegistries,
    },
    devices: {
      enabled: berth.devices ?? base.devices.enabled,
      pools: devicePoolsOf(berth),
      graceMs: berth.devicePluginGracePeriod ?? base.devices.graceMs,
      cdiDirs: berth.cdiSpecDirs ?? base.devices.cdiDirs,
    },
    cgroups: {
      driver: kubelet.cgroupDriver,
      root: absent(kubelet.cgroupRoot) ?? base.cgroups.root,
      cpuCfsQuota: kubelet.cpuCFSQuota,
      cpuPeriodUs: kubelet.cpuCFSQuotaPeriod * 1000,
      podPidsLimit: kubelet.podPidsLimit,
    },
    dns: { servers: kubelet.clusterDNS, domain: kubelet.clusterDomain, resolvConf: kubelet.resolvConf },
    limits: {
      ...base.limits,
      maxPods:
        kubelet.podsPerCore > 0
          ? Math.min(kubelet.maxPods, kubelet.podsPerCore * Math.max(base.limits.starts / 2, 1))
          : kubelet.maxPods,
      starts: berth.parallelStarts ?? base.limits.starts,
      cniMs: berth.cniTimeout ?? base.limits.cniMs,
      parallelPulls: parallelPulls ?? base.limits.parallelPulls,
      restartBackoffMaxMs: kubelet.crashLoopBackOff?.maxContainerRestartPeriod ?? base.limits.restartBackoffMaxMs,
    },
    security: { seccompDefault: kubelet.seccompDefault, allowedUnsafeSysctls: kubelet.allowedUnsafeSysctls },
    serving: {
      ...base.serving,
      healthzAddress: kubelet.healthzBindAddress,
      healthzPort: kubelet.healthzPort,
      socketPath: join(runDir, 'berth.sock'),
    },
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const each of Object.values(value)) deepFreeze(each);
  }
  return value;
}
