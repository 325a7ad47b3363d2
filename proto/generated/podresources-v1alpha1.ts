// Generated from proto/podresources/v1alpha1.proto by proto/generate.mjs.

export interface PodResourcesListerMethods {
  list: { request: ListPodResourcesRequest; response: ListPodResourcesResponse; kind: 'unary' };
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
}

export interface ContainerDevices {
  readonly resourceName?: string | undefined;
  readonly deviceIds?: readonly string[] | undefined;
}
