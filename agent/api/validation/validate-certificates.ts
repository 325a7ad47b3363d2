import { X509Certificate } from 'node:crypto';
import type { FieldProblems } from './field-problems.js';
import type { ClusterTrustBundle, PodCertificateProjection } from '../generated/types.js';
import { dnsSubdomain, volumeFilePath, type NameRule } from './name-rules.js';

const keyTypes = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519'];
const shortestLife = 3600;
/** Signers of Kubernetes itself give a day, others 91. */
const longestLife = (signerName: string): number =>
  (signerName.startsWith('kubernetes.io/') || signerName.includes('.k8s.io/') ? 1 : 91) * 24 * 3600;
const maxBundleBytes = 1024 * 1024;

/** `example.com/some-signer` */
const signer: NameRule = (value) => {
  const [domain = '', path, ...rest] = value.split('/');
  if (path === undefined || rest.length > 0)
    return ['must be a fully qualified domain and path of the form "domain/path"'];
  if (!domain.includes('.')) return ['should be a domain with at least two segments separated by dots'];
  return [...dnsSubdomain(domain), ...path.split('.').flatMap((part) => dnsSubdomain(part))];
};

/** A certificate of the pod: where its parts go, and what it may be. */
export function validatePodCertificate(
  problems: FieldProblems,
  certificate: PodCertificateProjection,
  path: string,
): void {
  const { signerName, keyType, maxExpirationSeconds: seconds } = certificate;
  if (signerName === '') problems.required(`${path}.signerName`);
  else problems.rules(`${path}.signerName`, signerName, signer(signerName));
  if (!keyTypes.includes(keyType)) problems.notSupported(`${path}.keyType`, keyType, keyTypes);
  const longest = longestLife(signerName);
  if (seconds !== undefined && (seconds < shortestLife || seconds > longest)) {
    const rule =
      seconds < shortestLife
        ? `if provided, maxExpirationSeconds must be >= ${shortestLife}`
        : `if provided, maxExpirationSeconds must be <= ${longest}`;
    problems.invalid(`${path}.maxExpirationSeconds`, seconds, rule);
  }
  const named = (['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const).filter(
    (key) => certificate[key],
  );
  for (const key of named)
    problems.rules(`${path}.${key}`, certificate[key] ?? '', volumeFilePath(certificate[key] ?? ''));
  if (named.length === 0)
    problems.required(path, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath');
}

/** A bundle of a signer carries its name: that decides who may change it. */
export function trustBundleName(signerName: string): NameRule {
  const prefix = signerName === '' ? '' : `${signerName.replaceAll('/', ':')}:`;
  return (value) => {
    if (prefix === '') return dnsSubdomain(value);
    if (!value.startsWith(prefix))
      return [`ClusterTrustBundle for signerName ${signerName} must be named with prefix ${prefix}`];
    return dnsSubdomain(value.slice(prefix.length));
  };
}

export function validateTrustBundle(problems: FieldProblems, { spec }: ClusterTrustBundle): void {
  const { signerName = '', trustBundle } = spec;
  if (signerName !== '') problems.rules('spec.signerName', signerName, signer(signerName));
  const at = 'spec.trustBundle';
  const refuse = (why: string): void => problems.invalid(at, undefined, why);
  if (Buffer.byteLength(trustBundle) > maxBundleBytes)
    return refuse(`Too long: may not be more than ${maxBundleBytes} bytes`);
  const blocks = trustBundle.match(/-----BEGIN [^]*?-----END [^\n]*-----/g) ?? [];
  if (blocks.length === 0) refuse('at least one trust anchor must be provided');
  const seen = new Map<string, number>();
  for (const [index, block] of blocks.entries()) {
    const problem = anchorProblem(block);
    if (problem !== undefined) {
      refuse(`entry ${index} ${problem}`);
      continue;
    }
    const { fingerprint256 } = new X509Certificate(block);
    const first = seen.get(fingerprint256);
    if (first === undefined) seen.set(fingerprint256, index);
    else refuse(`duplicate trust anchor (indices [${first} ${index}])`);
  }
}

function anchorProblem(block: string): string | undefined {
  const type = /^-----BEGIN ([^-]*)-----/.exec(block)?.[1] ?? '';
  if (type !== 'CERTIFICATE') return `has bad block type: ${type}`;
  if (/^[\w-]+: /m.test(block)) return 'has PEM block headers';
  try {
    return new X509Certificate(block).ca ? undefined : 'does not have the CA bit set';
  } catch {
    return 'does not parse as X.509';
  }
}
