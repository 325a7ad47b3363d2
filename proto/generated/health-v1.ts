// Generated from proto/health/v1.proto by proto/generate.mjs.

export interface HealthCheckRequest {
  readonly service?: string | undefined;
}

export interface HealthCheckResponse {
  readonly status?: HealthCheckResponse_ServingStatus | undefined;
}

export type HealthCheckResponse_ServingStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';

export interface HealthMethods {
  check: { request: HealthCheckRequest; response: HealthCheckResponse; kind: 'unary' };
  watch: { request: HealthCheckRequest; response: HealthCheckResponse; kind: 'stream' };
}
