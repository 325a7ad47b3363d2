/** Keys, requests and certificates of the node. */
export { certificateRequest } from './certificate-request.js';
export { CertificateStore, parseHeld, type HeldCertificate } from './certificate-store.js';
export { isPodKeyType, makeKeyAndProof, podKeyTypes, type KeyAndProof, type PodKeyType } from './key-and-proof.js';
export { makeCertificate, type CertificateOptions, type Issuer } from './make-certificate.js';
export { nodeSubject, rotatingClientCertificate, rotatingServingCertificate } from './node-certificates.js';
export { PendingKey } from './pending-key.js';
export { CertificateError, type CertificateApi, type CertificateFailure } from './request-certificate.js';
export { RotatingCertificate, type RotatingDeps } from './rotating-certificate.js';
export { makeKey, type AlternativeNames, type Subject } from './x509-parts.js';
