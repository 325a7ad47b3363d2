import type { ConfigMap, Pod, Quantity, Secret, ServiceAccountTokenProjection } from '../../api/index.js';
import type { NodeFields } from '../../downward/field-ref.js';

/** A token, when it ends and when a fresh one should be fetched, ms. */
export interface PodToken {
  readonly token: string;
  readonly expiresAt: number;
  readonly refreshAt: number;
}

/** Where the content of configMap, secret, downwardAPI and projected volumes comes from. Reading an object also watches it for the pod. */
export interface ContentSources {
  configMap(pod: Pod, name: string, signal: AbortSignal): Promise<ConfigMap | undefined>;
  secret(pod: Pod, name: string, signal: AbortSignal): Promise<Secret | undefined>;
  token(pod: Pod, projection: ServiceAccountTokenProjection, signal: AbortSignal): Promise<PodToken>;
  nodeFields(): NodeFields;
  allocatable(): Readonly<Record<string, Quantity>>;
}
