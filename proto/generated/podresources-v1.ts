// Generated from proto/podresources/v1.proto by proto/generate.mjs.

export interface PodResourcesListerMethods {
  list: { request: ListPodResourcesRequest; response: ListPodResourcesResponse; kind: 'unary' };
  getAllocatableResources: { request: AllocatableResourcesRequest; response: AllocatableResourcesResponse; kind: 'unary' };
  get: { request: GetPodResourcesRequest; response: GetPodResourcesResponse; kind: 'unary' };
}

export interface AllocatableResourcesRequest {

}

export interface AllocatableResourcesResponse {
  readonly devices?: readonly ContainerDevices[] | undefined;
  readonly cpuIds?: readonly number[] | undefined;
  readonly memory?: readonly ContainerMemory[] | undefined;
}

export interface ListPodResourcesRequest {

}

export interface ListPodResourcesResponse {
  readonly podResources?: readonly PodResources[] | undefined;
}

export interface PodResources {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly containers?: readonly ContainerResources[] | undefined;
}

export interface ContainerResources {
  readonly name?: string | undefined;
  readonly devices?: readonly ContainerDevices[] | undefined;
  readonly cpuIds?: readonly number[] | undefined;
  readonly memory?: readonly ContainerMemory[] | undefined;
  readonly dynamicResources?: readonly DynamicResource[] | undefined;
}

export interface ContainerMemory {
  readonly memoryType?: string | undefined;
  readonly size?: number | undefined;
  readonly topology?: TopologyInfo | null | undefined;
}

export interface ContainerDevices {
  readonly resourceName?: string | undefined;
  readonly deviceIds?: readonly string[] | undefined;
  readonly topology?: TopologyInfo | null | undefined;
}

export interface TopologyInfo {
  readonly nodes?: readonly NUMANode[] | undefined;
}

export interface NUMANode {
  readonly ID?: number | undefined;
}

export interface DynamicResource {
  readonly claimName?: string | undefined;
  readonly claimNamespace?: string | undefined;
  readonly claimResources?: readonly ClaimResource[] | undefined;
}

export interface ClaimResource {
  readonly cdiDevices?: readonly CDIDevice[] | undefined;
  readonly driverName?: string | undefined;
  readonly poolName?: string | undefined;
  readonly deviceName?: string | undefined;
  readonly shareId?: string | undefined;
}

export interface CDIDevice {
  readonly name?: string | undefined;
}

export interface GetPodResourcesRequest {
  readonly podName?: string | undefined;
  readonly podNamespace?: string | undefined;
}

export interface GetPodResourcesResponse {
  readonly podResources?: PodResources | null | undefined;
}
