// Generated from proto/dra/health-v1alpha1.proto by proto/generate.mjs.

export interface DRAResourceHealthMethods {
  nodeWatchResources: { request: NodeWatchResourcesRequest; response: NodeWatchResourcesResponse; kind: 'stream' };
}

export interface NodeWatchResourcesRequest {

}

export type HealthStatus = 'UNKNOWN' | 'HEALTHY' | 'UNHEALTHY';

export interface DeviceIdentifier {
  readonly poolName?: string | undefined;
  readonly deviceName?: string | undefined;
}

export interface DeviceHealth {
  readonly device?: DeviceIdentifier | null | undefined;
  readonly health?: HealthStatus | undefined;
  readonly lastUpdatedTime?: number | undefined;
  readonly healthCheckTimeoutSeconds?: number | undefined;
  readonly message?: string | undefined;
}

export interface NodeWatchResourcesResponse {
  readonly devices?: readonly DeviceHealth[] | undefined;
}
