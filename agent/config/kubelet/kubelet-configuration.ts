import type { ObjectOf } from './field-types.js';
import type { kubeletFields } from './fields.js';

type Given = ObjectOf<typeof kubeletFields>;

/** A KubeletConfiguration with the kubelet's defaults filled in. Durations are milliseconds. */
export type KubeletConfiguration = Omit<Given, keyof typeof defaults> & {
  readonly [K in keyof typeof defaults & keyof Given]: NonNullable<Given[K]>;
};

const minute = 60_000;

/** Facts 14.1. Fields without a default mean something by being absent. */
const defaults = {
  enableServer: true,
  staticPodPath: '',
  podLogsDir: '/var/log/pods',
  fileCheckFrequency: 20_000,
  httpCheckFrequency: 20_000,
  staticPodURL: '',
  staticPodURLHeader: {},
  address: '0.0.0.0',
  port: 10_250,
  readOnlyPort: 0,
  tlsCertFile: '',
  tlsPrivateKeyFile: '',
  tlsCipherSuites: [],
  tlsMinVersion: '',
  rotateCertificates: false,
  serverTLSBootstrap: false,
  eventRecordQPS: 50,
  eventBurst: 100,
  enableDebuggingHandlers: true,
  healthzPort: 10_248,
  healthzBindAddress: '127.0.0.1',
  oomScoreAdj: -999,
  clusterDomain: '',
  clusterDNS: [],
  streamingConnectionIdleTimeout: 240 * minute,
  nodeStatusUpdateFrequency: 10_000,
  nodeStatusReportFrequency: 5 * minute,
  nodeLeaseDurationSeconds: 40,
  imageMinimumGCAge: 2 * minute,
  imageMaximumGCAge: 0,
  imageGCHighThresholdPercent: 85,
  imageGCLowThresholdPercent: 80,
  volumeStatsAggPeriod: minute,
  cgroupRoot: '',
  cgroupsPerQOS: true,
  cgroupDriver: 'cgroupfs',
  cpuManagerPolicy: 'none',
  cpuManagerPolicyOptions: {},
  cpuManagerReconcilePeriod: 10_000,
  memoryManagerPolicy: 'None',
  topologyManagerPolicy: 'none',
  topologyManagerScope: 'container',
  topologyManagerPolicyOptions: {},
  runtimeRequestTimeout: 2 * minute,
  maxPods: 110,
  podCIDR: '',
  podPidsLimit: -1,
  resolvConf: '/etc/resolv.conf',
  runOnce: false,
  cpuCFSQuota: true,
  cpuCFSQuotaPeriod: 100,
  nodeStatusMaxImages: 50,
  serializeImagePulls: true,
  evictionSoft: {},
  evictionSoftGracePeriod: {},
  evictionPressureTransitionPeriod: 5 * minute,
  evictionMaxPodGracePeriod: 0,
  evictionMinimumReclaim: {},
  mergeDefaultEvictionSettings: false,
  podsPerCore: 0,
  enableControllerAttachDetach: true,
  featureGates: {},
  failSwapOn: true,
  containerLogMaxSize: '10Mi',
  containerLogMaxFiles: 5,
  containerLogMaxWorkers: 1,
  containerLogMonitorInterval: 10_000,
  systemReserved: {},
  kubeReserved: {},
  reservedSystemCPUs: '',
  systemReservedCgroup: '',
  kubeReservedCgroup: '',
  enforceNodeAllocatable: ['pods'],
  allowedUnsafeSysctls: [],
  volumePluginDir: '/usr/libexec/kubernetes/kubelet-plugins/volume/exec/',
  providerID: '',
  enableSystemLogHandler: true,
  enableSystemLogQuery: false,
  shutdownGracePeriod: 0,
  shutdownGracePeriodCriticalPods: 0,
  shutdownGracePeriodByPodPriority: [],
  reservedMemory: [],
  seccompDefault: false,
  registerWithTaints: [],
  registerNode: true,
  localStorageCapacityIsolation: true,
  containerRuntimeEndpoint: '',
  imageServiceEndpoint: '',
  failCgroupV1: true,
  imagePullCredentialsVerificationPolicy: 'NeverVerifyPreloadedImages',
  preloadedImagesVerificationAllowlist: [],
} as const satisfies Given;

export function withDefaults(given: Given): KubeletConfiguration {
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Given;
  // Who asks for another pace of looking wants to be told at that pace.
  const reports = set.nodeStatusReportFrequency ?? set.nodeStatusUpdateFrequency ?? defaults.nodeStatusReportFrequency;
  // As does who asks for several pulls at once.
  const serializeImagePulls = set.serializeImagePulls ?? (set.maxParallelImagePulls ?? 1) < 2;
  return { ...defaults, ...set, nodeStatusReportFrequency: reports, serializeImagePulls } as KubeletConfiguration;
}
