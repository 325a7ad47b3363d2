import { X509Certificate } from 'node:crypto';
import { BerthError } from '../../../base/errors.js';
import type { Clock } from '../../../base/clock.js';
import { linkSignal } from '../../../base/signals.js';
import type { CertificateSigningRequest } from '../../api/index.js';
import { statusOf } from '../kubernetes/client/index.js';

export type CertificateFailure =
  | { readonly code: 'denied' }
  | { readonly code: 'failed' }
  /** Nobody has decided in time. */
  | { readonly code: 'not-decided' }
  /** There is a request of this name, and what comes of it is of no use with this key. */
  | { readonly code: 'not-usable' };
export class CertificateError extends BerthError<CertificateFailure> {}

/** The part of an API client that is needed here. */
export interface CertificateApi {
  json<T>(
    request: { readonly method: 'GET' | 'POST'; readonly path: string; readonly body?: unknown },
    signal: AbortSignal,
  ): Promise<T>;
}

export interface CertificateWish {
  /** PEM of the request. */
  readonly request: string;
  readonly signerName: 'kubernetes.io/kube-apiserver-client-kubelet' | 'kubernetes.io/kubelet-serving';
  readonly usages: readonly string[];
  /** A request that is there under this name is taken up again; the cluster finds a name where there is none. */
  readonly name?: string | undefined;
  /** What the request is for, in DER: one that is taken up again must be for the same. */
  readonly publicKey?: Buffer | undefined;
}

export interface RequestCertificateDeps {
  readonly api: CertificateApi;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Called with the name of the request, once it waits to be approved. */
  readonly asked?: ((name: string) => void) | undefined;
}

const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const pollMs = 1000;

/** Asks the cluster for a certificate and waits until it is signed. Nobody approves it here: that is for the cluster to decide. */
export async function requestCertificate(
  wish: CertificateWish,
  { api, clock, timeoutMs, asked }: RequestCertificateDeps,
  signal: AbortSignal,
): Promise<string> {
  const made = await create(wish, api, clock.now(), signal);
  asked?.(made.metadata?.name ?? '');
  const at = `${path}/${made.metadata?.name ?? ''}`;
  using limited = linkSignal(signal, { timeoutMs });
  try {
    for (
      let answer = made;
      ;
      answer = await api.json<CertificateSigningRequest>({ method: 'GET', path: at }, limited.signal)
    ) {
      const certificate = decided(answer);
      if (certificate !== undefined) return certificate;
      await clock.sleep(pollMs, limited.signal);
    }
  } catch (err) {
    signal.throwIfAborted();
    if (!limited.signal.aborted) throw err;
    throw new CertificateError(
      `request certificate ${made.metadata?.name}: nobody has approved it within ${Math.round(timeoutMs / 1000)} s; approve it with: kubectl certificate approve ${made.metadata?.name}`,
      { code: 'not-decided' },
      { cause: err },
    );
  }
}

async function create(
  wish: CertificateWish,
  api: CertificateApi,
  now: number,
  signal: AbortSignal,
): Promise<CertificateSigningRequest> {
  const { request, signerName, usages, name } = wish;
  const body: CertificateSigningRequest = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: name === undefined ? { generateName: 'csr-' } : { name },
    spec: { request: Buffer.from(request).toString('base64'), signerName, usages: [...usages] },
  };
  try {
    return await api.json<CertificateSigningRequest>({ method: 'POST', path, body }, signal);
  } catch (err) {
    if (name === undefined || statusOf(err) !== 409) throw err;
    const known = await api.json<CertificateSigningRequest>({ method: 'GET', path: `${path}/${name}` }, signal);
    const problem = whyUseless(known, wish, now);
    if (problem === undefined) return known;
    throw new CertificateError(`take up certificate request ${name}: ${problem}`, { code: 'not-usable' });
  }
}

/** Undefined for one that an earlier start made with the same key. */
function whyUseless(
  { spec, status }: CertificateSigningRequest,
  { signerName, publicKey }: CertificateWish,
  now: number,
): string | undefined {
  if (spec.signerName !== signerName) return `it is for ${spec.signerName}`;
  const asked = Buffer.from(spec.request, 'base64')
    .toString('utf8')
    .replace(/-----[^-]+-----|\s/g, '');
  if (publicKey && !Buffer.from(asked, 'base64').includes(publicKey)) return 'it is for another key';
  if (!status?.certificate) return undefined;
  const { validTo } = new X509Certificate(Buffer.from(status.certificate, 'base64'));
  return Date.parse(validTo) <= now ? `its certificate has expired (${validTo})` : undefined;
}

/** The certificate in PEM, undefined while nothing is decided. */
function decided({ metadata, status }: CertificateSigningRequest): string | undefined {
  for (const { type, reason, message } of status?.conditions ?? []) {
    const why = `${reason ?? ''} ${message ?? ''}`.trim();
    if (type === 'Denied')
      throw new CertificateError(`request certificate ${metadata?.name}: denied: ${why}`, { code: 'denied' });
    if (type === 'Failed')
      throw new CertificateError(`request certificate ${metadata?.name}: failed: ${why}`, { code: 'failed' });
  }
  return status?.certificate ? Buffer.from(status.certificate, 'base64').toString('utf8') : undefined;
}
