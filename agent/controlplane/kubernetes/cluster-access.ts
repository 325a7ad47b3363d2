import { join } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../../base/atomic-file.js';
import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import type { RunProgram } from '../../../base/run-program.js';
import type { ClusterSettings } from '../../config/cluster-config.js';
import {
  CertificateStore,
  PendingKey,
  rotatingClientCertificate,
  type CertificateApi,
  type RotatingCertificate,
} from '../certificates/index.js';
import { ApiClient, KubeconfigError, readKubeconfig, type ClusterConfig, type Material } from './client/index.js';

export interface ClusterAccessDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly run: RunProgram;
}

/** How the node gets at its cluster, and what keeps its certificate good. */
export interface ClusterAccess extends AsyncDisposable {
  readonly cluster: ClusterConfig;
  /** Present where the node's own certificate is renewed or was asked for. */
  readonly clientCertificate: RotatingCertificate | undefined;
  /** Starts to keep the certificate good; `client` asks with it while it holds. */
  keep(client: CertificateApi): Promise<void>;
}

/**
 * The kubeconfig as it is; or, where the node's certificate is the cluster's to issue, the same with the newest of the certificate
 * folder. While there is none that holds, the bootstrap credentials ask for one; everything else goes on without it.
 */
export async function openClusterAccess(
  nodeName: string,
  settings: ClusterSettings,
  userAgent: string,
  deps: ClusterAccessDeps,
): Promise<ClusterAccess> {
  const { kubeconfig, bootstrapKubeconfig, certDir, rotateCertificates } = settings;
  const bootstrap = bootstrapKubeconfig === undefined ? undefined : await readIfUsable(bootstrapKubeconfig, deps);
  const own = bootstrap ? await readIfUsable(kubeconfig, deps) : await readKubeconfig(kubeconfig);
  const base = own ?? bootstrap;
  if (!base)
    throw new KubeconfigError(`read kubeconfig ${kubeconfig}: it is missing, and so is that to get one with`, {
      code: 'missing',
    });
  const hasCertificate = own?.clientCertificate !== undefined;
  if (bootstrap === undefined && !(rotateCertificates && hasCertificate)) {
    const nothing = (): Promise<void> => Promise.resolve();
    return { cluster: base, clientCertificate: undefined, keep: nothing, [Symbol.asyncDispose]: nothing };
  }
  const store = new CertificateStore(certDir, 'kubelet-client');
  if (own && (await store.read()) === undefined) await seed(store, own, deps.clock.now());
  const path = store.currentPath;
  const file: Material = { kind: 'file', path };
  const cluster: ClusterConfig = {
    ...base,
    clientCertificate: file,
    clientKey: file,
    token: undefined,
    basic: undefined,
    exec: undefined,
    pending: () => certificate.problem || 'the cluster has not issued a client certificate yet',
  };
  if (own === undefined) await writeKubeconfig(kubeconfig, cluster, path);
  const bootstrapClient =
    bootstrap && new ApiClient(bootstrap, { userAgent }, { ...deps, log: deps.log.child({ client: 'bootstrap' }) });
  let main: CertificateApi | undefined;
  const pending = new PendingKey(join(certDir, 'kubelet-client.key.tmp'));
  const certificate: RotatingCertificate = rotatingClientCertificate(nodeName, rotateCertificates, pending, {
    store,
    clock: deps.clock,
    log: deps.log,
    api: {
      json: async (request, signal) => {
        const holds = (certificate.current?.notAfter ?? 0) > deps.clock.now();
        const api = holds ? main : bootstrapClient;
        if (api) return await api.json(request, signal);
        throw new KubeconfigError(
          `renew the client certificate: it has expired and there is no bootstrap kubeconfig to ask with`,
          { code: 'missing' },
        );
      },
    },
  });
  return {
    cluster,
    clientCertificate: certificate,
    keep: async (client) => {
      main = client;
      await certificate.start();
    },
    [Symbol.asyncDispose]: async () => {
      await certificate[Symbol.asyncDispose]();
      await bootstrapClient?.[Symbol.asyncDispose]();
    },
  };
}

/** One that is spoilt is as good as none: there is another way, and what comes of it is written in its place. */
async function readIfUsable(path: string, { log }: ClusterAccessDeps): Promise<ClusterConfig | undefined> {
  try {
    return await readKubeconfig(path);
  } catch (err) {
    if (!(err instanceof KubeconfigError)) throw err;
    if (err.failure.code !== 'missing') log.warn({ path, err: errorText(err) }, 'kubeconfig cannot be used');
    return undefined;
  }
}

/** The certificate that the node was set up with is the first of its own. */
async function seed(
  store: CertificateStore,
  { clientCertificate, clientKey }: ClusterConfig,
  now: number,
): Promise<void> {
  const [certificate, key] = await Promise.all([contentOf(clientCertificate), contentOf(clientKey)]);
  if (certificate && key) await store.write(certificate, key, now).catch(() => {});
}

async function contentOf(material: Material | undefined): Promise<string | undefined> {
  return material?.kind === 'file' ? await readIfPresent(material.path) : material?.content;
}

/** What later starts, and people with kubectl, find. */
async function writeKubeconfig(
  path: string,
  { server, ca, serverName, insecure, proxyUrl }: ClusterConfig,
  certificate: string,
): Promise<void> {
  const text = await contentOf(ca);
  const cluster = {
    server,
    ...(text !== undefined && { 'certificate-authority-data': Buffer.from(text).toString('base64') }),
    ...(serverName !== undefined && { 'tls-server-name': serverName }),
    ...(insecure && { 'insecure-skip-tls-verify': true }),
    ...(proxyUrl !== undefined && { 'proxy-url': proxyUrl }),
  };
  const user = { 'client-certificate': certificate, 'client-key': certificate };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'default-cluster', cluster }],
    users: [{ name: 'default-auth', user }],
    contexts: [
      { name: 'default-context', context: { cluster: 'default-cluster', user: 'default-auth', namespace: 'default' } },
    ],
    'current-context': 'default-context',
  };
  await writeFileAtomic(path, `${JSON.stringify(config, undefined, 2)}\n`);
}

export const servingStore = (certDir: string): CertificateStore => new CertificateStore(certDir, 'kubelet-server');
