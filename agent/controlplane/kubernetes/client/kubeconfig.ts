import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { BerthError, errnoOf, errorText } from '../../../../base/errors.js';
import { loadYaml } from '../../../../base/yaml.js';

/** Content that is given inline, or a file that is read anew when it changes. */
export type Material =
  { readonly kind: 'inline'; readonly content: string } | { readonly kind: 'file'; readonly path: string };

export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly installHint: string;
  readonly provideClusterInfo: boolean;
  /** What the cluster's entry says for the plugin alone. */
  readonly config?: unknown;
}

/** How to reach a cluster and who to be there: one context of a kubeconfig. */
export interface ClusterConfig {
  readonly server: string;
  readonly serverName: string | undefined;
  readonly insecure: boolean;
  readonly ca: Material | undefined;
  readonly proxyUrl: string | undefined;
  readonly clientCertificate: Material | undefined;
  readonly clientKey: Material | undefined;
  readonly token: Material | undefined;
  readonly basic: { readonly username: string; readonly password: string } | undefined;
  readonly exec: ExecPlugin | undefined;
  /** Headers that ask the server to take the user for another one. */
  readonly impersonate?: Readonly<Record<string, string | string[]>> | undefined;
  readonly namespace: string;
  /** Why a file that is named here may not be there yet, for the error. */
  readonly pending?: (() => string) | undefined;
}

export type KubeconfigFailure = { readonly code: 'missing' } | { readonly code: 'invalid' };
export class KubeconfigError extends BerthError<KubeconfigFailure> {}

type Fields = Readonly<Record<string, unknown>>;

/** Reads one context of a kubeconfig file, the current one when none is named. */
export async function readKubeconfig(path: string, context?: string): Promise<ClusterConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (err) {
    const code = errnoOf(err) === 'ENOENT' ? 'missing' : 'invalid';
    throw new KubeconfigError(`read kubeconfig ${path}: ${errorText(err)}`, { code }, { cause: err });
  }
  const root = parseText(text, path);
  return parseKubeconfig(root, path, context);
}

function parseText(text: string, path: string): unknown {
  try {
    if (text.trimStart().startsWith('{')) return JSON.parse(text) as unknown;
    const { parse } = loadYaml();
    return parse(text) as unknown;
  } catch (err) {
    throw invalid(path, `neither YAML nor JSON: ${errorText(err)}`);
  }
}

export function parseKubeconfig(root: unknown, path: string, context?: string): ClusterConfig {
  const file = fieldsOf(root);
  const name = context ?? text(file, 'current-context');
  if (!name) throw invalid(path, 'it has no current-context and none was named');
  const chosen = named(file, 'contexts', 'context', name, path);
  const cluster = named(file, 'clusters', 'cluster', text(chosen, 'cluster') ?? '', path);
  const userName = text(chosen, 'user');
  const user = userName === undefined ? {} : named(file, 'users', 'user', userName, path);
  const server = text(cluster, 'server');
  if (!server || !URL.canParse(server) || !/^https?:/.test(server))
    throw invalid(path, `clusters[${text(chosen, 'cluster')}].cluster.server is not a URL`);
  const proxyUrl = text(cluster, 'proxy-url') || undefined;
  if (proxyUrl !== undefined && !isProxy(proxyUrl))
    throw invalid(
      path,
      `clusters[${text(chosen, 'cluster')}].cluster.proxy-url is not the URL of a proxy: http, https and socks5 can be used`,
    );
  if (user['auth-provider'] != null)
    throw invalid(path, 'user.auth-provider is a way in that Kubernetes clients no longer have; use user.exec');
  const folder = dirname(path);
  const username = text(user, 'username');
  const tokenFile = text(user, 'tokenFile');
  const token = text(user, 'token');
  return {
    server: server.replace(/\/+$/, ''),
    serverName: text(cluster, 'tls-server-name'),
    insecure: cluster['insecure-skip-tls-verify'] === true,
    ca: material(cluster, 'certificate-authority', folder),
    proxyUrl,
    clientCertificate: material(user, 'client-certificate', folder),
    clientKey: material(user, 'client-key', folder),
    // A token file goes before a token, as in every Kubernetes client.
    token: tokenFile
      ? { kind: 'file', path: resolve(folder, tokenFile) }
      : token
        ? { kind: 'inline', content: token }
        : undefined,
    basic: username ? { username, password: text(user, 'password') ?? '' } : undefined,
    exec:
      user['exec'] == null
        ? undefined
        : { ...execPlugin(fieldsOf(user['exec']), folder, path), config: execExtension(cluster) },
    impersonate: impersonation(user),
    namespace: text(chosen, 'namespace') ?? 'default',
  };
}

const isProxy = (url: string): boolean => URL.canParse(url) && /^(https?|socks5):$/.test(new URL(url).protocol);

function impersonation(user: Fields): ClusterConfig['impersonate'] {
  const name = text(user, 'as');
  if (name === undefined) return undefined;
  const uid = text(user, 'as-uid');
  const groups = texts(user['as-groups']);
  const extra = Object.entries(fieldsOf(user['as-user-extra']));
  return {
    'impersonate-user': name,
    ...(uid !== undefined && { 'impersonate-uid': uid }),
    ...(groups.length > 0 && { 'impersonate-group': groups }),
    ...Object.fromEntries(
      extra.map(([key, values]) => [`impersonate-extra-${encodeURIComponent(key).toLowerCase()}`, texts(values)]),
    ),
  };
}

const execExtension = (cluster: Fields): unknown =>
  list(cluster, 'extensions').find((each) => text(each, 'name') === 'client.authentication.k8s.io/exec')?.['extension'];

function execPlugin(exec: Fields, folder: string, path: string): ExecPlugin {
  const apiVersion = text(exec, 'apiVersion') ?? '';
  const known = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];
  if (!known.includes(apiVersion))
    throw invalid(path, `user.exec.apiVersion is ${JSON.stringify(apiVersion)}; known are ${known.join(' and ')}`);
  const command = text(exec, 'command');
  if (!command) throw invalid(path, 'user.exec.command is missing');
  if (text(exec, 'interactiveMode') === 'Always')
    throw invalid(path, 'user.exec.interactiveMode is Always, and an agent has nobody to ask');
  const env = list(exec, 'env').map((entry): [string, string] => [
    text(entry, 'name') ?? '',
    text(entry, 'value') ?? '',
  ]);
  return {
    apiVersion,
    // A path is relative to the kubeconfig; a bare name is sought in PATH.
    command: command.includes('/') ? resolve(folder, command) : command,
    args: texts(exec['args']),
    env: Object.fromEntries(env),
    installHint: text(exec, 'installHint') ?? '',
    provideClusterInfo: exec['provideClusterInfo'] === true,
  };
}

function material(fields: Fields, key: string, folder: string): Material | undefined {
  const data = text(fields, `${key}-data`);
  if (data) return { kind: 'inline', content: Buffer.from(data, 'base64').toString('utf8') };
  const file = text(fields, key);
  return file ? { kind: 'file', path: resolve(folder, file) } : undefined;
}

function named(file: Fields, lists: string, key: string, name: string, path: string): Fields {
  const found = list(file, lists).find((entry) => text(entry, 'name') === name);
  if (!found) throw invalid(path, `${lists} holds none with the name ${JSON.stringify(name)}`);
  return fieldsOf(found[key]);
}

const list = (fields: Fields, key: string): Fields[] => {
  const value = fields[key];
  return Array.isArray(value) ? value.map(fieldsOf) : [];
};

const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

const text = (fields: Fields, key: string): string | undefined => {
  const value = fields[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
};

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};

const invalid = (path: string, reason: string): KubeconfigError =>
  new KubeconfigError(`read kubeconfig ${path}: ${reason}`, { code: 'invalid' });
