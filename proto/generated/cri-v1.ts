// Generated from proto/cri/v1.proto by proto/generate.mjs.

export interface RuntimeServiceMethods {
  version: { request: VersionRequest; response: VersionResponse; kind: 'unary' };
  runPodSandbox: { request: RunPodSandboxRequest; response: RunPodSandboxResponse; kind: 'unary' };
  stopPodSandbox: { request: StopPodSandboxRequest; response: StopPodSandboxResponse; kind: 'unary' };
  removePodSandbox: { request: RemovePodSandboxRequest; response: RemovePodSandboxResponse; kind: 'unary' };
  podSandboxStatus: { request: PodSandboxStatusRequest; response: PodSandboxStatusResponse; kind: 'unary' };
  listPodSandbox: { request: ListPodSandboxRequest; response: ListPodSandboxResponse; kind: 'unary' };
  streamPodSandboxes: { request: StreamPodSandboxesRequest; response: StreamPodSandboxesResponse; kind: 'stream' };
  createContainer: { request: CreateContainerRequest; response: CreateContainerResponse; kind: 'unary' };
  startContainer: { request: StartContainerRequest; response: StartContainerResponse; kind: 'unary' };
  stopContainer: { request: StopContainerRequest; response: StopContainerResponse; kind: 'unary' };
  removeContainer: { request: RemoveContainerRequest; response: RemoveContainerResponse; kind: 'unary' };
  listContainers: { request: ListContainersRequest; response: ListContainersResponse; kind: 'unary' };
  streamContainers: { request: StreamContainersRequest; response: StreamContainersResponse; kind: 'stream' };
  containerStatus: { request: ContainerStatusRequest; response: ContainerStatusResponse; kind: 'unary' };
  updateContainerResources: { request: UpdateContainerResourcesRequest; response: UpdateContainerResourcesResponse; kind: 'unary' };
  reopenContainerLog: { request: ReopenContainerLogRequest; response: ReopenContainerLogResponse; kind: 'unary' };
  execSync: { request: ExecSyncRequest; response: ExecSyncResponse; kind: 'unary' };
  exec: { request: ExecRequest; response: ExecResponse; kind: 'unary' };
  attach: { request: AttachRequest; response: AttachResponse; kind: 'unary' };
  portForward: { request: PortForwardRequest; response: PortForwardResponse; kind: 'unary' };
  containerStats: { request: ContainerStatsRequest; response: ContainerStatsResponse; kind: 'unary' };
  listContainerStats: { request: ListContainerStatsRequest; response: ListContainerStatsResponse; kind: 'unary' };
  streamContainerStats: { request: StreamContainerStatsRequest; response: StreamContainerStatsResponse; kind: 'stream' };
  podSandboxStats: { request: PodSandboxStatsRequest; response: PodSandboxStatsResponse; kind: 'unary' };
  listPodSandboxStats: { request: ListPodSandboxStatsRequest; response: ListPodSandboxStatsResponse; kind: 'unary' };
  streamPodSandboxStats: { request: StreamPodSandboxStatsRequest; response: StreamPodSandboxStatsResponse; kind: 'stream' };
  updateRuntimeConfig: { request: UpdateRuntimeConfigRequest; response: UpdateRuntimeConfigResponse; kind: 'unary' };
  status: { request: StatusRequest; response: StatusResponse; kind: 'unary' };
  checkpointContainer: { request: CheckpointContainerRequest; response: CheckpointContainerResponse; kind: 'unary' };
  getContainerEvents: { request: GetEventsRequest; response: ContainerEventResponse; kind: 'stream' };
  listMetricDescriptors: { request: ListMetricDescriptorsRequest; response: ListMetricDescriptorsResponse; kind: 'unary' };
  listPodSandboxMetrics: { request: ListPodSandboxMetricsRequest; response: ListPodSandboxMetricsResponse; kind: 'unary' };
  streamPodSandboxMetrics: { request: StreamPodSandboxMetricsRequest; response: StreamPodSandboxMetricsResponse; kind: 'stream' };
  runtimeConfig: { request: RuntimeConfigRequest; response: RuntimeConfigResponse; kind: 'unary' };
  updatePodSandboxResources: { request: UpdatePodSandboxResourcesRequest; response: UpdatePodSandboxResourcesResponse; kind: 'unary' };
}

export interface ImageServiceMethods {
  listImages: { request: ListImagesRequest; response: ListImagesResponse; kind: 'unary' };
  streamImages: { request: StreamImagesRequest; response: StreamImagesResponse; kind: 'stream' };
  imageStatus: { request: ImageStatusRequest; response: ImageStatusResponse; kind: 'unary' };
  pullImage: { request: PullImageRequest; response: PullImageResponse; kind: 'unary' };
  removeImage: { request: RemoveImageRequest; response: RemoveImageResponse; kind: 'unary' };
  imageFsInfo: { request: ImageFsInfoRequest; response: ImageFsInfoResponse; kind: 'unary' };
}

export interface VersionRequest {
  readonly version?: string | undefined;
}

export interface VersionResponse {
  readonly version?: string | undefined;
  readonly runtimeName?: string | undefined;
  readonly runtimeVersion?: string | undefined;
  readonly runtimeApiVersion?: string | undefined;
}

export interface DNSConfig {
  readonly servers?: readonly string[] | undefined;
  readonly searches?: readonly string[] | undefined;
  readonly options?: readonly string[] | undefined;
}

export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export interface PortMapping {
  readonly protocol?: Protocol | undefined;
  readonly containerPort?: number | undefined;
  readonly hostPort?: number | undefined;
  readonly hostIp?: string | undefined;
}

export type MountPropagation = 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER' | 'PROPAGATION_BIDIRECTIONAL';

export interface Mount {
  readonly containerPath?: string | undefined;
  readonly hostPath?: string | undefined;
  readonly readonly?: boolean | undefined;
  readonly selinuxRelabel?: boolean | undefined;
  readonly propagation?: MountPropagation | undefined;
  readonly uidMappings?: readonly IDMapping[] | undefined;
  readonly gidMappings?: readonly IDMapping[] | undefined;
  readonly recursiveReadOnly?: boolean | undefined;
  readonly image?: ImageSpec | null | undefined;
  readonly imageSubPath?: string | undefined;
}

export interface IDMapping {
  readonly hostId?: number | undefined;
  readonly containerId?: number | undefined;
  readonly length?: number | undefined;
}

export type NamespaceMode = 'POD' | 'CONTAINER' | 'NODE' | 'TARGET';

export interface UserNamespace {
  readonly mode?: NamespaceMode | undefined;
  readonly uids?: readonly IDMapping[] | undefined;
  readonly gids?: readonly IDMapping[] | undefined;
}

export interface NamespaceOption {
  readonly network?: NamespaceMode | undefined;
  readonly pid?: NamespaceMode | undefined;
  readonly ipc?: NamespaceMode | undefined;
  readonly targetId?: string | undefined;
  readonly usernsOptions?: UserNamespace | null | undefined;
}

export type SupplementalGroupsPolicy = 'Merge' | 'Strict';

export interface Int64Value {
  readonly value?: number | undefined;
}

export interface LinuxSandboxSecurityContext {
  readonly namespaceOptions?: NamespaceOption | null | undefined;
  readonly selinuxOptions?: SELinuxOption | null | undefined;
  readonly runAsUser?: Int64Value | null | undefined;
  readonly runAsGroup?: Int64Value | null | undefined;
  readonly readonlyRootfs?: boolean | undefined;
  readonly supplementalGroups?: readonly number[] | undefined;
  readonly supplementalGroupsPolicy?: SupplementalGroupsPolicy | undefined;
  readonly privileged?: boolean | undefined;
  readonly seccomp?: SecurityProfile | null | undefined;
  readonly apparmor?: SecurityProfile | null | undefined;
  readonly seccompProfilePath?: string | undefined;
}

export interface SecurityProfile {
  readonly profileType?: SecurityProfile_ProfileType | undefined;
  readonly localhostRef?: string | undefined;
}

export type SecurityProfile_ProfileType = 'RuntimeDefault' | 'Unconfined' | 'Localhost';

export interface LinuxPodSandboxConfig {
  readonly cgroupParent?: string | undefined;
  readonly securityContext?: LinuxSandboxSecurityContext | null | undefined;
  readonly sysctls?: Readonly<Record<string, string>> | undefined;
  readonly overhead?: LinuxContainerResources | null | undefined;
  readonly resources?: LinuxContainerResources | null | undefined;
}

export interface PodSandboxMetadata {
  readonly name?: string | undefined;
  readonly uid?: string | undefined;
  readonly namespace?: string | undefined;
  readonly attempt?: number | undefined;
}

export interface PodSandboxConfig {
  readonly metadata?: PodSandboxMetadata | null | undefined;
  readonly hostname?: string | undefined;
  readonly logDirectory?: string | undefined;
  readonly dnsConfig?: DNSConfig | null | undefined;
  readonly portMappings?: readonly PortMapping[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly linux?: LinuxPodSandboxConfig | null | undefined;
  readonly windows?: WindowsPodSandboxConfig | null | undefined;
}

export interface RunPodSandboxRequest {
  readonly config?: PodSandboxConfig | null | undefined;
  readonly runtimeHandler?: string | undefined;
}

export interface RunPodSandboxResponse {
  readonly podSandboxId?: string | undefined;
}

export interface StopPodSandboxRequest {
  readonly podSandboxId?: string | undefined;
}

export interface StopPodSandboxResponse {

}

export interface RemovePodSandboxRequest {
  readonly podSandboxId?: string | undefined;
}

export interface RemovePodSandboxResponse {

}

export interface PodSandboxStatusRequest {
  readonly podSandboxId?: string | undefined;
  readonly verbose?: boolean | undefined;
}

export interface PodIP {
  readonly ip?: string | undefined;
}

export interface PodSandboxNetworkStatus {
  readonly ip?: string | undefined;
  readonly additionalIps?: readonly PodIP[] | undefined;
}

export interface Namespace {
  readonly options?: NamespaceOption | null | undefined;
}

export interface LinuxPodSandboxStatus {
  readonly namespaces?: Namespace | null | undefined;
}

export type PodSandboxState = 'SANDBOX_READY' | 'SANDBOX_NOTREADY';

export interface PodSandboxStatus {
  readonly id?: string | undefined;
  readonly metadata?: PodSandboxMetadata | null | undefined;
  readonly state?: PodSandboxState | undefined;
  readonly createdAt?: number | undefined;
  readonly network?: PodSandboxNetworkStatus | null | undefined;
  readonly linux?: LinuxPodSandboxStatus | null | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly runtimeHandler?: string | undefined;
}

export interface PodSandboxStatusResponse {
  readonly status?: PodSandboxStatus | null | undefined;
  readonly info?: Readonly<Record<string, string>> | undefined;
  readonly containersStatuses?: readonly ContainerStatus[] | undefined;
  readonly timestamp?: number | undefined;
}

export interface PodSandboxStateValue {
  readonly state?: PodSandboxState | undefined;
}

export interface PodSandboxFilter {
  readonly id?: string | undefined;
  readonly state?: PodSandboxStateValue | null | undefined;
  readonly labelSelector?: Readonly<Record<string, string>> | undefined;
}

export interface ListPodSandboxRequest {
  readonly filter?: PodSandboxFilter | null | undefined;
}

export interface PodSandbox {
  readonly id?: string | undefined;
  readonly metadata?: PodSandboxMetadata | null | undefined;
  readonly state?: PodSandboxState | undefined;
  readonly createdAt?: number | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly runtimeHandler?: string | undefined;
}

export interface ListPodSandboxResponse {
  readonly items?: readonly PodSandbox[] | undefined;
}

export interface StreamPodSandboxesRequest {
  readonly filter?: PodSandboxFilter | null | undefined;
}

export interface StreamPodSandboxesResponse {
  readonly podSandboxes?: readonly PodSandbox[] | undefined;
}

export interface PodSandboxStatsRequest {
  readonly podSandboxId?: string | undefined;
}

export interface PodSandboxStatsResponse {
  readonly stats?: PodSandboxStats | null | undefined;
}

export interface PodSandboxStatsFilter {
  readonly id?: string | undefined;
  readonly labelSelector?: Readonly<Record<string, string>> | undefined;
}

export interface ListPodSandboxStatsRequest {
  readonly filter?: PodSandboxStatsFilter | null | undefined;
}

export interface ListPodSandboxStatsResponse {
  readonly stats?: readonly PodSandboxStats[] | undefined;
}

export interface StreamPodSandboxStatsRequest {
  readonly filter?: PodSandboxStatsFilter | null | undefined;
}

export interface StreamPodSandboxStatsResponse {
  readonly podSandboxStats?: readonly PodSandboxStats[] | undefined;
}

export interface PodSandboxAttributes {
  readonly id?: string | undefined;
  readonly metadata?: PodSandboxMetadata | null | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

export interface PodSandboxStats {
  readonly attributes?: PodSandboxAttributes | null | undefined;
  readonly linux?: LinuxPodSandboxStats | null | undefined;
  readonly windows?: WindowsPodSandboxStats | null | undefined;
}

export interface LinuxPodSandboxStats {
  readonly cpu?: CpuUsage | null | undefined;
  readonly memory?: MemoryUsage | null | undefined;
  readonly network?: NetworkUsage | null | undefined;
  readonly process?: ProcessUsage | null | undefined;
  readonly containers?: readonly ContainerStats[] | undefined;
  readonly io?: IoUsage | null | undefined;
}

export interface WindowsPodSandboxStats {
  readonly cpu?: WindowsCpuUsage | null | undefined;
  readonly memory?: WindowsMemoryUsage | null | undefined;
  readonly network?: WindowsNetworkUsage | null | undefined;
  readonly process?: WindowsProcessUsage | null | undefined;
  readonly containers?: readonly WindowsContainerStats[] | undefined;
}

export interface NetworkUsage {
  readonly timestamp?: number | undefined;
  readonly defaultInterface?: NetworkInterfaceUsage | null | undefined;
  readonly interfaces?: readonly NetworkInterfaceUsage[] | undefined;
}

export interface WindowsNetworkUsage {
  readonly timestamp?: number | undefined;
  readonly defaultInterface?: WindowsNetworkInterfaceUsage | null | undefined;
  readonly interfaces?: readonly WindowsNetworkInterfaceUsage[] | undefined;
}

export interface NetworkInterfaceUsage {
  readonly name?: string | undefined;
  readonly rxBytes?: UInt64Value | null | undefined;
  readonly rxErrors?: UInt64Value | null | undefined;
  readonly txBytes?: UInt64Value | null | undefined;
  readonly txErrors?: UInt64Value | null | undefined;
}

export interface WindowsNetworkInterfaceUsage {
  readonly name?: string | undefined;
  readonly rxBytes?: UInt64Value | null | undefined;
  readonly rxPacketsDropped?: UInt64Value | null | undefined;
  readonly txBytes?: UInt64Value | null | undefined;
  readonly txPacketsDropped?: UInt64Value | null | undefined;
}

export interface ProcessUsage {
  readonly timestamp?: number | undefined;
  readonly processCount?: UInt64Value | null | undefined;
}

export interface WindowsProcessUsage {
  readonly timestamp?: number | undefined;
  readonly processCount?: UInt64Value | null | undefined;
}

export interface ImageSpec {
  readonly image?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly userSpecifiedImage?: string | undefined;
  readonly runtimeHandler?: string | undefined;
  readonly imageRef?: string | undefined;
}

export interface KeyValue {
  readonly key?: string | undefined;
  readonly value?: Uint8Array | undefined;
}

export interface LinuxContainerResources {
  readonly cpuPeriod?: number | undefined;
  readonly cpuQuota?: number | undefined;
  readonly cpuShares?: number | undefined;
  readonly memoryLimitInBytes?: number | undefined;
  readonly oomScoreAdj?: number | undefined;
  readonly cpusetCpus?: string | undefined;
  readonly cpusetMems?: string | undefined;
  readonly hugepageLimits?: readonly HugepageLimit[] | undefined;
  readonly unified?: Readonly<Record<string, string>> | undefined;
  readonly memorySwapLimitInBytes?: number | undefined;
}

export interface HugepageLimit {
  readonly pageSize?: string | undefined;
  readonly limit?: number | undefined;
}

export interface SELinuxOption {
  readonly user?: string | undefined;
  readonly role?: string | undefined;
  readonly type?: string | undefined;
  readonly level?: string | undefined;
}

export interface Capability {
  readonly addCapabilities?: readonly string[] | undefined;
  readonly dropCapabilities?: readonly string[] | undefined;
  readonly addAmbientCapabilities?: readonly string[] | undefined;
}

export interface LinuxContainerSecurityContext {
  readonly capabilities?: Capability | null | undefined;
  readonly privileged?: boolean | undefined;
  readonly namespaceOptions?: NamespaceOption | null | undefined;
  readonly selinuxOptions?: SELinuxOption | null | undefined;
  readonly runAsUser?: Int64Value | null | undefined;
  readonly runAsGroup?: Int64Value | null | undefined;
  readonly runAsUsername?: string | undefined;
  readonly readonlyRootfs?: boolean | undefined;
  readonly supplementalGroups?: readonly number[] | undefined;
  readonly supplementalGroupsPolicy?: SupplementalGroupsPolicy | undefined;
  readonly noNewPrivs?: boolean | undefined;
  readonly maskedPaths?: readonly string[] | undefined;
  readonly readonlyPaths?: readonly string[] | undefined;
  readonly seccomp?: SecurityProfile | null | undefined;
  readonly apparmor?: SecurityProfile | null | undefined;
  readonly apparmorProfile?: string | undefined;
  readonly seccompProfilePath?: string | undefined;
}

export interface LinuxContainerConfig {
  readonly resources?: LinuxContainerResources | null | undefined;
  readonly securityContext?: LinuxContainerSecurityContext | null | undefined;
}

export interface LinuxContainerUser {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly supplementalGroups?: readonly number[] | undefined;
}

export interface WindowsNamespaceOption {
  readonly network?: NamespaceMode | undefined;
}

export interface WindowsSandboxSecurityContext {
  readonly runAsUsername?: string | undefined;
  readonly credentialSpec?: string | undefined;
  readonly hostProcess?: boolean | undefined;
  readonly namespaceOptions?: WindowsNamespaceOption | null | undefined;
}

export interface WindowsPodSandboxConfig {
  readonly securityContext?: WindowsSandboxSecurityContext | null | undefined;
}

export interface WindowsContainerSecurityContext {
  readonly runAsUsername?: string | undefined;
  readonly credentialSpec?: string | undefined;
  readonly hostProcess?: boolean | undefined;
}

export interface WindowsContainerConfig {
  readonly resources?: WindowsContainerResources | null | undefined;
  readonly securityContext?: WindowsContainerSecurityContext | null | undefined;
}

export interface WindowsContainerResources {
  readonly cpuShares?: number | undefined;
  readonly cpuCount?: number | undefined;
  readonly cpuMaximum?: number | undefined;
  readonly memoryLimitInBytes?: number | undefined;
  readonly rootfsSizeInBytes?: number | undefined;
  readonly affinityCpus?: readonly WindowsCpuGroupAffinity[] | undefined;
}

export interface WindowsCpuGroupAffinity {
  readonly cpuMask?: number | undefined;
  readonly cpuGroup?: number | undefined;
}

export interface ContainerMetadata {
  readonly name?: string | undefined;
  readonly attempt?: number | undefined;
}

export interface Device {
  readonly containerPath?: string | undefined;
  readonly hostPath?: string | undefined;
  readonly permissions?: string | undefined;
}

export interface CDIDevice {
  readonly name?: string | undefined;
}

export interface ContainerConfig {
  readonly metadata?: ContainerMetadata | null | undefined;
  readonly image?: ImageSpec | null | undefined;
  readonly command?: readonly string[] | undefined;
  readonly args?: readonly string[] | undefined;
  readonly workingDir?: string | undefined;
  readonly envs?: readonly KeyValue[] | undefined;
  readonly mounts?: readonly Mount[] | undefined;
  readonly devices?: readonly Device[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly logPath?: string | undefined;
  readonly stdin?: boolean | undefined;
  readonly stdinOnce?: boolean | undefined;
  readonly tty?: boolean | undefined;
  readonly linux?: LinuxContainerConfig | null | undefined;
  readonly windows?: WindowsContainerConfig | null | undefined;
  readonly CDIDevices?: readonly CDIDevice[] | undefined;
  readonly stopSignal?: Signal | undefined;
}

export type Signal = 'RUNTIME_DEFAULT' | 'SIGABRT' | 'SIGALRM' | 'SIGBUS' | 'SIGCHLD' | 'SIGCLD' | 'SIGCONT' | 'SIGFPE' | 'SIGHUP' | 'SIGILL' | 'SIGINT' | 'SIGIO' | 'SIGIOT' | 'SIGKILL' | 'SIGPIPE' | 'SIGPOLL' | 'SIGPROF' | 'SIGPWR' | 'SIGQUIT' | 'SIGSEGV' | 'SIGSTKFLT' | 'SIGSTOP' | 'SIGSYS' | 'SIGTERM' | 'SIGTRAP' | 'SIGTSTP' | 'SIGTTIN' | 'SIGTTOU' | 'SIGURG' | 'SIGUSR1' | 'SIGUSR2' | 'SIGVTALRM' | 'SIGWINCH' | 'SIGXCPU' | 'SIGXFSZ' | 'SIGRTMIN' | 'SIGRTMINPLUS1' | 'SIGRTMINPLUS2' | 'SIGRTMINPLUS3' | 'SIGRTMINPLUS4' | 'SIGRTMINPLUS5' | 'SIGRTMINPLUS6' | 'SIGRTMINPLUS7' | 'SIGRTMINPLUS8' | 'SIGRTMINPLUS9' | 'SIGRTMINPLUS10' | 'SIGRTMINPLUS11' | 'SIGRTMINPLUS12' | 'SIGRTMINPLUS13' | 'SIGRTMINPLUS14' | 'SIGRTMINPLUS15' | 'SIGRTMAXMINUS14' | 'SIGRTMAXMINUS13' | 'SIGRTMAXMINUS12' | 'SIGRTMAXMINUS11' | 'SIGRTMAXMINUS10' | 'SIGRTMAXMINUS9' | 'SIGRTMAXMINUS8' | 'SIGRTMAXMINUS7' | 'SIGRTMAXMINUS6' | 'SIGRTMAXMINUS5' | 'SIGRTMAXMINUS4' | 'SIGRTMAXMINUS3' | 'SIGRTMAXMINUS2' | 'SIGRTMAXMINUS1' | 'SIGRTMAX';

export interface CreateContainerRequest {
  readonly podSandboxId?: string | undefined;
  readonly config?: ContainerConfig | null | undefined;
  readonly sandboxConfig?: PodSandboxConfig | null | undefined;
}

export interface CreateContainerResponse {
  readonly containerId?: string | undefined;
}

export interface StartContainerRequest {
  readonly containerId?: string | undefined;
}

export interface StartContainerResponse {

}

export interface StopContainerRequest {
  readonly containerId?: string | undefined;
  readonly timeout?: number | undefined;
}

export interface StopContainerResponse {

}

export interface RemoveContainerRequest {
  readonly containerId?: string | undefined;
}

export interface RemoveContainerResponse {

}

export type ContainerState = 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN';

export interface ContainerStateValue {
  readonly state?: ContainerState | undefined;
}

export interface ContainerFilter {
  readonly id?: string | undefined;
  readonly state?: ContainerStateValue | null | undefined;
  readonly podSandboxId?: string | undefined;
  readonly labelSelector?: Readonly<Record<string, string>> | undefined;
}

export interface ListContainersRequest {
  readonly filter?: ContainerFilter | null | undefined;
}

export interface Container {
  readonly id?: string | undefined;
  readonly podSandboxId?: string | undefined;
  readonly metadata?: ContainerMetadata | null | undefined;
  readonly image?: ImageSpec | null | undefined;
  readonly imageRef?: string | undefined;
  readonly state?: ContainerState | undefined;
  readonly createdAt?: number | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly imageId?: string | undefined;
}

export interface ListContainersResponse {
  readonly containers?: readonly Container[] | undefined;
}

export interface StreamContainersRequest {
  readonly filter?: ContainerFilter | null | undefined;
}

export interface StreamContainersResponse {
  readonly containers?: readonly Container[] | undefined;
}

export interface ContainerStatusRequest {
  readonly containerId?: string | undefined;
  readonly verbose?: boolean | undefined;
}

export interface ContainerStatus {
  readonly id?: string | undefined;
  readonly metadata?: ContainerMetadata | null | undefined;
  readonly state?: ContainerState | undefined;
  readonly createdAt?: number | undefined;
  readonly startedAt?: number | undefined;
  readonly finishedAt?: number | undefined;
  readonly exitCode?: number | undefined;
  readonly image?: ImageSpec | null | undefined;
  readonly imageRef?: string | undefined;
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly mounts?: readonly Mount[] | undefined;
  readonly logPath?: string | undefined;
  readonly resources?: ContainerResources | null | undefined;
  readonly imageId?: string | undefined;
  readonly user?: ContainerUser | null | undefined;
  readonly stopSignal?: Signal | undefined;
}

export interface ContainerStatusResponse {
  readonly status?: ContainerStatus | null | undefined;
  readonly info?: Readonly<Record<string, string>> | undefined;
}

export interface ContainerResources {
  readonly linux?: LinuxContainerResources | null | undefined;
  readonly windows?: WindowsContainerResources | null | undefined;
}

export interface ContainerUser {
  readonly linux?: LinuxContainerUser | null | undefined;
}

export interface UpdateContainerResourcesRequest {
  readonly containerId?: string | undefined;
  readonly linux?: LinuxContainerResources | null | undefined;
  readonly windows?: WindowsContainerResources | null | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

export interface UpdateContainerResourcesResponse {

}

export interface ExecSyncRequest {
  readonly containerId?: string | undefined;
  readonly cmd?: readonly string[] | undefined;
  readonly timeout?: number | undefined;
}

export interface ExecSyncResponse {
  readonly stdout?: Uint8Array | undefined;
  readonly stderr?: Uint8Array | undefined;
  readonly exitCode?: number | undefined;
}

export interface ExecRequest {
  readonly containerId?: string | undefined;
  readonly cmd?: readonly string[] | undefined;
  readonly tty?: boolean | undefined;
  readonly stdin?: boolean | undefined;
  readonly stdout?: boolean | undefined;
  readonly stderr?: boolean | undefined;
}

export interface ExecResponse {
  readonly url?: string | undefined;
}

export interface AttachRequest {
  readonly containerId?: string | undefined;
  readonly stdin?: boolean | undefined;
  readonly tty?: boolean | undefined;
  readonly stdout?: boolean | undefined;
  readonly stderr?: boolean | undefined;
}

export interface AttachResponse {
  readonly url?: string | undefined;
}

export interface PortForwardRequest {
  readonly podSandboxId?: string | undefined;
  readonly port?: readonly number[] | undefined;
}

export interface PortForwardResponse {
  readonly url?: string | undefined;
}

export interface ImageFilter {
  readonly image?: ImageSpec | null | undefined;
}

export interface ListImagesRequest {
  readonly filter?: ImageFilter | null | undefined;
}

export interface Image {
  readonly id?: string | undefined;
  readonly repoTags?: readonly string[] | undefined;
  readonly repoDigests?: readonly string[] | undefined;
  readonly size?: number | undefined;
  readonly uid?: Int64Value | null | undefined;
  readonly username?: string | undefined;
  readonly spec?: ImageSpec | null | undefined;
  readonly pinned?: boolean | undefined;
}

export interface ListImagesResponse {
  readonly images?: readonly Image[] | undefined;
}

export interface StreamImagesRequest {
  readonly filter?: ImageFilter | null | undefined;
}

export interface StreamImagesResponse {
  readonly images?: readonly Image[] | undefined;
}

export interface ImageStatusRequest {
  readonly image?: ImageSpec | null | undefined;
  readonly verbose?: boolean | undefined;
}

export interface ImageStatusResponse {
  readonly image?: Image | null | undefined;
  readonly info?: Readonly<Record<string, string>> | undefined;
}

export interface AuthConfig {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly auth?: string | undefined;
  readonly serverAddress?: string | undefined;
  readonly identityToken?: string | undefined;
  readonly registryToken?: string | undefined;
}

export interface PullImageRequest {
  readonly image?: ImageSpec | null | undefined;
  readonly auth?: AuthConfig | null | undefined;
  readonly sandboxConfig?: PodSandboxConfig | null | undefined;
}

export interface PullImageResponse {
  readonly imageRef?: string | undefined;
}

export interface RemoveImageRequest {
  readonly image?: ImageSpec | null | undefined;
}

export interface RemoveImageResponse {

}

export interface NetworkConfig {
  readonly podCidr?: string | undefined;
}

export interface RuntimeConfig {
  readonly networkConfig?: NetworkConfig | null | undefined;
}

export interface UpdateRuntimeConfigRequest {
  readonly runtimeConfig?: RuntimeConfig | null | undefined;
}

export interface UpdateRuntimeConfigResponse {

}

export interface RuntimeCondition {
  readonly type?: string | undefined;
  readonly status?: boolean | undefined;
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
}

export interface RuntimeStatus {
  readonly conditions?: readonly RuntimeCondition[] | undefined;
}

export interface StatusRequest {
  readonly verbose?: boolean | undefined;
}

export interface RuntimeHandlerFeatures {
  readonly recursiveReadOnlyMounts?: boolean | undefined;
  readonly userNamespaces?: boolean | undefined;
}

export interface RuntimeHandler {
  readonly name?: string | undefined;
  readonly features?: RuntimeHandlerFeatures | null | undefined;
}

export interface RuntimeFeatures {
  readonly supplementalGroupsPolicy?: boolean | undefined;
  readonly userNamespacesHostNetwork?: boolean | undefined;
}

export interface StatusResponse {
  readonly status?: RuntimeStatus | null | undefined;
  readonly info?: Readonly<Record<string, string>> | undefined;
  readonly runtimeHandlers?: readonly RuntimeHandler[] | undefined;
  readonly features?: RuntimeFeatures | null | undefined;
}

export interface ImageFsInfoRequest {

}

export interface UInt64Value {
  readonly value?: number | undefined;
}

export interface FilesystemIdentifier {
  readonly mountpoint?: string | undefined;
}

export interface FilesystemUsage {
  readonly timestamp?: number | undefined;
  readonly fsId?: FilesystemIdentifier | null | undefined;
  readonly usedBytes?: UInt64Value | null | undefined;
  readonly inodesUsed?: UInt64Value | null | undefined;
}

export interface WindowsFilesystemUsage {
  readonly timestamp?: number | undefined;
  readonly fsId?: FilesystemIdentifier | null | undefined;
  readonly usedBytes?: UInt64Value | null | undefined;
}

export interface ImageFsInfoResponse {
  readonly imageFilesystems?: readonly FilesystemUsage[] | undefined;
  readonly containerFilesystems?: readonly FilesystemUsage[] | undefined;
}

export interface ContainerStatsRequest {
  readonly containerId?: string | undefined;
}

export interface ContainerStatsResponse {
  readonly stats?: ContainerStats | null | undefined;
}

export interface ListContainerStatsRequest {
  readonly filter?: ContainerStatsFilter | null | undefined;
}

export interface ContainerStatsFilter {
  readonly id?: string | undefined;
  readonly podSandboxId?: string | undefined;
  readonly labelSelector?: Readonly<Record<string, string>> | undefined;
}

export interface ListContainerStatsResponse {
  readonly stats?: readonly ContainerStats[] | undefined;
}

export interface StreamContainerStatsRequest {
  readonly filter?: ContainerStatsFilter | null | undefined;
}

export interface StreamContainerStatsResponse {
  readonly containerStats?: readonly ContainerStats[] | undefined;
}

export interface ContainerAttributes {
  readonly id?: string | undefined;
  readonly metadata?: ContainerMetadata | null | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

export interface ContainerStats {
  readonly attributes?: ContainerAttributes | null | undefined;
  readonly cpu?: CpuUsage | null | undefined;
  readonly memory?: MemoryUsage | null | undefined;
  readonly writableLayer?: FilesystemUsage | null | undefined;
  readonly swap?: SwapUsage | null | undefined;
  readonly io?: IoUsage | null | undefined;
}

export interface WindowsContainerStats {
  readonly attributes?: ContainerAttributes | null | undefined;
  readonly cpu?: WindowsCpuUsage | null | undefined;
  readonly memory?: WindowsMemoryUsage | null | undefined;
  readonly writableLayer?: WindowsFilesystemUsage | null | undefined;
}

export interface PsiStats {
  readonly Full?: PsiData | null | undefined;
  readonly Some?: PsiData | null | undefined;
}

export interface PsiData {
  readonly Total?: number | undefined;
  readonly Avg10?: number | undefined;
  readonly Avg60?: number | undefined;
  readonly Avg300?: number | undefined;
}

export interface CpuUsage {
  readonly timestamp?: number | undefined;
  readonly usageCoreNanoSeconds?: UInt64Value | null | undefined;
  readonly usageNanoCores?: UInt64Value | null | undefined;
  readonly psi?: PsiStats | null | undefined;
}

export interface WindowsCpuUsage {
  readonly timestamp?: number | undefined;
  readonly usageCoreNanoSeconds?: UInt64Value | null | undefined;
  readonly usageNanoCores?: UInt64Value | null | undefined;
}

export interface MemoryUsage {
  readonly timestamp?: number | undefined;
  readonly workingSetBytes?: UInt64Value | null | undefined;
  readonly availableBytes?: UInt64Value | null | undefined;
  readonly usageBytes?: UInt64Value | null | undefined;
  readonly rssBytes?: UInt64Value | null | undefined;
  readonly pageFaults?: UInt64Value | null | undefined;
  readonly majorPageFaults?: UInt64Value | null | undefined;
  readonly psi?: PsiStats | null | undefined;
}

export interface IoUsage {
  readonly timestamp?: number | undefined;
  readonly psi?: PsiStats | null | undefined;
}

export interface SwapUsage {
  readonly timestamp?: number | undefined;
  readonly swapAvailableBytes?: UInt64Value | null | undefined;
  readonly swapUsageBytes?: UInt64Value | null | undefined;
}

export interface WindowsMemoryUsage {
  readonly timestamp?: number | undefined;
  readonly workingSetBytes?: UInt64Value | null | undefined;
  readonly availableBytes?: UInt64Value | null | undefined;
  readonly pageFaults?: UInt64Value | null | undefined;
  readonly commitMemoryBytes?: UInt64Value | null | undefined;
}

export interface ReopenContainerLogRequest {
  readonly containerId?: string | undefined;
}

export interface ReopenContainerLogResponse {

}

export interface CheckpointContainerRequest {
  readonly containerId?: string | undefined;
  readonly location?: string | undefined;
  readonly timeout?: number | undefined;
}

export interface CheckpointContainerResponse {

}

export interface GetEventsRequest {

}

export interface ContainerEventResponse {
  readonly containerId?: string | undefined;
  readonly containerEventType?: ContainerEventType | undefined;
  readonly createdAt?: number | undefined;
  readonly podSandboxStatus?: PodSandboxStatus | null | undefined;
  readonly containersStatuses?: readonly ContainerStatus[] | undefined;
}

export type ContainerEventType = 'CONTAINER_CREATED_EVENT' | 'CONTAINER_STARTED_EVENT' | 'CONTAINER_STOPPED_EVENT' | 'CONTAINER_DELETED_EVENT';

export interface ListMetricDescriptorsRequest {

}

export interface ListMetricDescriptorsResponse {
  readonly descriptors?: readonly MetricDescriptor[] | undefined;
}

export interface MetricDescriptor {
  readonly name?: string | undefined;
  readonly help?: string | undefined;
  readonly labelKeys?: readonly string[] | undefined;
}

export interface ListPodSandboxMetricsRequest {

}

export interface ListPodSandboxMetricsResponse {
  readonly podMetrics?: readonly PodSandboxMetrics[] | undefined;
}

export interface StreamPodSandboxMetricsRequest {

}

export interface StreamPodSandboxMetricsResponse {
  readonly podSandboxMetrics?: readonly PodSandboxMetrics[] | undefined;
}

export interface PodSandboxMetrics {
  readonly podSandboxId?: string | undefined;
  readonly metrics?: readonly Metric[] | undefined;
  readonly containerMetrics?: readonly ContainerMetrics[] | undefined;
}

export interface ContainerMetrics {
  readonly containerId?: string | undefined;
  readonly metrics?: readonly Metric[] | undefined;
}

export interface Metric {
  readonly name?: string | undefined;
  readonly timestamp?: number | undefined;
  readonly metricType?: MetricType | undefined;
  readonly labelValues?: readonly string[] | undefined;
  readonly value?: UInt64Value | null | undefined;
}

export type MetricType = 'COUNTER' | 'GAUGE';

export interface RuntimeConfigRequest {

}

export interface RuntimeConfigResponse {
  readonly linux?: LinuxRuntimeConfiguration | null | undefined;
}

export interface LinuxRuntimeConfiguration {
  readonly cgroupDriver?: CgroupDriver | undefined;
}

export type CgroupDriver = 'SYSTEMD' | 'CGROUPFS';

export interface UpdatePodSandboxResourcesRequest {
  readonly podSandboxId?: string | undefined;
  readonly overhead?: LinuxContainerResources | null | undefined;
  readonly resources?: LinuxContainerResources | null | undefined;
}

export interface UpdatePodSandboxResourcesResponse {

}
