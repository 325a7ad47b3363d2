import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfPresent } from '../../../../base/atomic-file.js';
import type { KubeletApiSettings } from '../settings.js';
import { selfSigned, selfSignedFiles } from './self-signed.js';

/** What the server proves itself with, and whose word on clients counts. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
}

export interface MaterialOptions {
  readonly tls: KubeletApiSettings['tls'];
  readonly clientCaFile: string | undefined;
  readonly nodeName: string;
  /** Those a certificate of its own is made for. */
  addresses(): readonly string[];
}

/** The serving certificate with its key; undefined while the cluster has not issued one. Throws when they do not fit. */
export async function readServing(
  { tls, nodeName, ...options }: MaterialOptions,
  now: number,
): Promise<{ cert: string; key: string } | undefined> {
  const { certFile, keyFile, certDir, fromCluster } = tls;
  if (certFile !== undefined && keyFile !== undefined) {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
    return fitting(cert, key, certFile);
  }
  if (!fromCluster) return await selfSigned({ certDir, nodeName, addresses: options.addresses(), now });
  const path = join(certDir, 'kubelet-server-current.pem');
  const both = await readIfPresent(path);
  return both === undefined ? undefined : fitting(both, both, path);
}

/** Undefined without a file to read; throws when there is no certificate in it. */
export async function readClientCa(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const text = await readFile(path, 'utf8');
  // Parsed once, so that a file of something else is told as that and does not replace a good one.
  if (new X509Certificate(text).subject === undefined) throw new Error(`read ${path}: it names no authority`);
  return text;
}

/** A pair that is being replaced is for a moment one half old and one half new. */
function fitting(cert: string, key: string, path: string): { cert: string; key: string } {
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
    throw new Error(`read ${path}: the private key is not the certificate's`);
  return { cert, key };
}

/** All files that are read, also those that only the node itself writes. */
export function allFiles(options: MaterialOptions): readonly string[] {
  const { certFile, keyFile, certDir, fromCluster } = options.tls;
  const own = fromCluster || (certFile !== undefined && keyFile !== undefined) ? [] : selfSignedFiles(certDir);
  return [...own, ...materialFiles(options)];
}

/** The files that others change. */
export function materialFiles({ tls, clientCaFile }: MaterialOptions): readonly string[] {
  const { certFile, keyFile, certDir, fromCluster } = tls;
  const serving =
    certFile !== undefined && keyFile !== undefined
      ? [certFile, keyFile]
      : fromCluster
        ? [join(certDir, 'kubelet-server-current.pem')]
        : [];
  return [...serving, ...(clientCaFile === undefined ? [] : [clientCaFile])];
}
