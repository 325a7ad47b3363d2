// Generated from proto/deviceplugin/v1beta1.proto by proto/generate.mjs.

export interface RegistrationMethods {
  register: { request: RegisterRequest; response: Empty; kind: 'unary' };
}

export interface DevicePluginOptions {
  readonly preStartRequired?: boolean | undefined;
  readonly getPreferredAllocationAvailable?: boolean | undefined;
}

export interface RegisterRequest {
  readonly version?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly resourceName?: string | undefined;
  readonly options?: DevicePluginOptions | null | undefined;
}

export interface Empty {

}

export interface DevicePluginMethods {
  getDevicePluginOptions: { request: Empty; response: DevicePluginOptions; kind: 'unary' };
  listAndWatch: { request: Empty; response: ListAndWatchResponse; kind: 'stream' };
  getPreferredAllocation: { request: PreferredAllocationRequest; response: PreferredAllocationResponse; kind: 'unary' };
  allocate: { request: AllocateRequest; response: AllocateResponse; kind: 'unary' };
  preStartContainer: { request: PreStartContainerRequest; response: PreStartContainerResponse; kind: 'unary' };
}

export interface ListAndWatchResponse {
  readonly devices?: readonly Device[] | undefined;
}

export interface TopologyInfo {
  readonly nodes?: readonly NUMANode[] | undefined;
}

export interface NUMANode {
  readonly ID?: number | undefined;
}

export interface Device {
  readonly ID?: string | undefined;
  readonly health?: string | undefined;
  readonly topology?: TopologyInfo | null | undefined;
}

export interface PreStartContainerRequest {
  readonly devicesIds?: readonly string[] | undefined;
}

export interface PreStartContainerResponse {

}

export interface PreferredAllocationRequest {
  readonly containerRequests?: readonly ContainerPreferredAllocationRequest[] | undefined;
}

export interface ContainerPreferredAllocationRequest {
  readonly availableDeviceIDs?: readonly string[] | undefined;
  readonly mustIncludeDeviceIDs?: readonly string[] | undefined;
  readonly allocationSize?: number | undefined;
}

export interface PreferredAllocationResponse {
  readonly containerResponses?: readonly ContainerPreferredAllocationResponse[] | undefined;
}

export interface ContainerPreferredAllocationResponse {
  readonly deviceIDs?: readonly string[] | undefined;
}

export interface AllocateRequest {
  readonly containerRequests?: readonly ContainerAllocateRequest[] | undefined;
}

export interface ContainerAllocateRequest {
  readonly devicesIds?: readonly string[] | undefined;
}

export interface CDIDevice {
  readonly name?: string | undefined;
}

export interface AllocateResponse {
  readonly containerResponses?: readonly ContainerAllocateResponse[] | undefined;
}

export interface ContainerAllocateResponse {
  readonly envs?: Readonly<Record<string, string>> | undefined;
  readonly mounts?: readonly Mount[] | undefined;
  readonly devices?: readonly DeviceSpec[] | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly cdiDevices?: readonly CDIDevice[] | undefined;
}

export interface Mount {
  readonly containerPath?: string | undefined;
  readonly hostPath?: string | undefined;
  readonly readOnly?: boolean | undefined;
}

export interface DeviceSpec {
  readonly containerPath?: string | undefined;
  readonly hostPath?: string | undefined;
  readonly permissions?: string | undefined;
}
