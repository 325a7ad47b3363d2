import type {
  ConfigMap,
  Pod,
  PodCertificateProjection,
  Quantity,
  Secret,
  ServiceAccountTokenProjection,
} from '../../api/index.js';
import type { NodeFields } from '../../downward/field-ref.js';
import type { TrustBundles } from './trust-anchors.js';

/** A token, when it ends and when a fresh one should be fetched, ms. */
export interface PodToken {
  readonly token: string;
  readonly expiresAt: number;
  readonly refreshAt: number;
}

/** A key and the certificates for it in PEM, and when to look for newer ones, ms. */
export interface PodCredential {
  readonly keyPem: string;
  readonly chainPem: string;
  readonly refreshAt: number;
}

/** Where the content of configMap, secret, downwardAPI and projected volumes comes from. Reading an object also watches it for the pod. */
export interface ContentSources {
  configMap(pod: Pod, name: string, signal: AbortSignal): Promise<ConfigMap | undefined>;
  secret(pod: Pod, name: string, signal: AbortSignal): Promise<Secret | undefined>;
  token(pod: Pod, projection: ServiceAccountTokenProjection, signal: AbortSignal): Promise<PodToken>;
  trustBundles(pod: Pod, signal: AbortSignal): TrustBundles;
  /** `source` tells the projections of a pod apart. */
  certificate(
    pod: Pod,
    source: string,
    projection: PodCertificateProjection,
    signal: AbortSignal,
  ): Promise<PodCredential>;
  nodeFields(): NodeFields;
  allocatable(): Readonly<Record<string, Quantity>>;
}
