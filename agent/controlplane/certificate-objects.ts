import type { Condition, ObjectMeta } from '../api/index.js';

/** Certificates of authorities that pods of a cluster trust (certificates.k8s.io). */
export interface ClusterTrustBundle {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata?: ObjectMeta | undefined;
  readonly spec?: { readonly signerName?: string | undefined; readonly trustBundle?: string | undefined } | undefined;
}

/** Asks a signer of the cluster for a certificate of one pod (certificates.k8s.io/v1beta1). */
export interface PodCertificateRequest {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata?: ObjectMeta | undefined;
  readonly spec: {
    readonly signerName: string;
    readonly podName: string;
    readonly podUID: string;
    readonly serviceAccountName: string;
    readonly serviceAccountUID: string;
    readonly nodeName: string;
    readonly nodeUID: string;
    readonly maxExpirationSeconds?: number | undefined;
    /** DER in base64: who signed it has the key. */
    readonly stubPKCS10Request: string;
    readonly unverifiedUserAnnotations?: Readonly<Record<string, string>> | undefined;
  };
  readonly status?:
    | {
        readonly conditions?: readonly Condition[] | undefined;
        /** PEM. */
        readonly certificateChain?: string | undefined;
        readonly notBefore?: string | undefined;
        readonly beginRefreshAt?: string | undefined;
        readonly notAfter?: string | undefined;
      }
    | undefined;
}
