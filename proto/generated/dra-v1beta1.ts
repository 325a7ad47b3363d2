// Generated from proto/dra/v1beta1.proto by proto/generate.mjs.

export interface DRAPluginMethods {
  nodePrepareResources: { request: NodePrepareResourcesRequest; response: NodePrepareResourcesResponse; kind: 'unary' };
  nodeUnprepareResources: { request: NodeUnprepareResourcesRequest; response: NodeUnprepareResourcesResponse; kind: 'unary' };
}

export interface NodePrepareResourcesRequest {
  readonly claims?: readonly Claim[] | undefined;
}

export interface NodePrepareResourcesResponse {
  readonly claims?: Readonly<Record<string, NodePrepareResourceResponse>> | undefined;
}

export interface NodePrepareResourceResponse {
  readonly devices?: readonly Device[] | undefined;
  readonly error?: string | undefined;
}

export interface Device {
  readonly requestNames?: readonly string[] | undefined;
  readonly poolName?: string | undefined;
  readonly deviceName?: string | undefined;
  readonly cdiDeviceIds?: readonly string[] | undefined;
}

export interface NodeUnprepareResourcesRequest {
  readonly claims?: readonly Claim[] | undefined;
}

export interface NodeUnprepareResourcesResponse {
  readonly claims?: Readonly<Record<string, NodeUnprepareResourceResponse>> | undefined;
}

export interface NodeUnprepareResourceResponse {
  readonly error?: string | undefined;
}

export interface Claim {
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  readonly name?: string | undefined;
}
