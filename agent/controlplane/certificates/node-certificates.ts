import type { PendingKey } from './pending-key.js';
import { RotatingCertificate, type RotatingDeps } from './rotating-certificate.js';
import type { Subject } from './x509-parts.js';

/** Who a node is to its cluster. */
export const nodeSubject = (nodeName: string): Subject => ({
  commonName: `system:node:${nodeName}`,
  organizations: ['system:nodes'],
});

const clientSigner = 'kubernetes.io/kube-apiserver-client-kubelet';
const clientUsages = ['digital signature', 'client auth'];

/** The node's client certificate: asked for where there is none, renewed while there is one. */
export function rotatingClientCertificate(
  nodeName: string,
  renew: boolean,
  pending: PendingKey,
  deps: Omit<RotatingDeps, 'names'>,
): RotatingCertificate {
  const options = {
    purpose: 'client',
    signerName: clientSigner,
    usages: clientUsages,
    subject: nodeSubject(nodeName),
    renew,
    pending,
  } as const;
  return new RotatingCertificate(options, { ...deps, names: () => ({ dnsNames: [], addresses: [] }) });
}

/** The certificate of the node's own API, once its addresses are known. Someone in the cluster must approve it. */
export function rotatingServingCertificate(nodeName: string, deps: RotatingDeps): RotatingCertificate {
  const options = {
    purpose: 'serving',
    signerName: 'kubernetes.io/kubelet-serving',
    usages: ['digital signature', 'server auth'],
    subject: nodeSubject(nodeName),
    renew: true,
  } as const;
  return new RotatingCertificate(options, deps);
}
