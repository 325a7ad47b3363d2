import { describeEnd, programSucceeded, type ProgramResult, type RunProgram } from '../../../../base/run-program.js';
import { errorText } from '../../../../base/errors.js';
import { ApiError } from './api-error.js';
import type { ExecPlugin } from './kubeconfig.js';

/** What a credential plugin gave. */
export interface ExecCredential {
  readonly token: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  /** ms; undefined when it does not say: then it holds until the server refuses it. */
  readonly expiresAt: number | undefined;
}

export interface ExecClusterInfo {
  readonly server: string;
  readonly serverName: string | undefined;
  readonly insecure: boolean;
  readonly ca: string | undefined;
  readonly proxyUrl: string | undefined;
}

const timeoutMs = 60_000;

/** Hears how each call ended, and whether what came of it was a credential. */
export type CountCall = (end: ProgramResult['end'], understood: boolean) => void;

/** Runs a credential plugin (client.authentication.k8s.io): asked through an environment variable, answers on standard output. */
export async function askExecPlugin(
  plugin: ExecPlugin,
  cluster: ExecClusterInfo,
  run: RunProgram,
  count: CountCall,
  signal: AbortSignal,
): Promise<ExecCredential> {
  const request = {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(plugin.provideClusterInfo && { cluster: clusterOf(cluster, plugin.config) }) },
  };
  const env = { ...inherited(), ...plugin.env, KUBERNETES_EXEC_INFO: JSON.stringify(request) };
  const result = await run({ argv: [plugin.command, ...plugin.args], env, timeoutMs }, signal);
  let understood = false;
  try {
    if (!programSucceeded(result)) {
      const hint = plugin.installHint === '' ? '' : `; ${plugin.installHint}`;
      throw failed(plugin, `${describeEnd(result)}${hint}`);
    }
    const credential = parseCredential(plugin, result.stdout.toString('utf8'));
    understood = true;
    return credential;
  } finally {
    count(result.end, understood);
  }
}

export function parseCredential(plugin: ExecPlugin, output: string): ExecCredential {
  let answer: { apiVersion?: unknown; status?: Readonly<Record<string, unknown>> };
  try {
    answer = JSON.parse(output) as typeof answer;
  } catch (err) {
    throw failed(plugin, `its output is not JSON: ${errorText(err)}`);
  }
  if (answer.apiVersion !== plugin.apiVersion)
    throw failed(plugin, `it answered ${JSON.stringify(answer.apiVersion)}, asked for ${plugin.apiVersion}`);
  const word = (key: string): string | undefined => {
    const value = answer.status?.[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const expires = Date.parse(word('expirationTimestamp') ?? '');
  const credential: ExecCredential = {
    token: word('token'),
    certificate: word('clientCertificateData'),
    key: word('clientKeyData'),
    expiresAt: Number.isNaN(expires) ? undefined : expires,
  };
  if ((credential.certificate === undefined) !== (credential.key === undefined))
    throw failed(plugin, 'it gave a certificate without its key, or a key alone');
  if (!credential.token && !credential.certificate) throw failed(plugin, 'it gave neither a token nor a certificate');
  return credential;
}

function clusterOf({ server, serverName, insecure, ca, proxyUrl }: ExecClusterInfo, config: unknown): object {
  return {
    server,
    ...(serverName && { 'tls-server-name': serverName }),
    ...(insecure && { 'insecure-skip-tls-verify': true }),
    ...(ca && { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    ...(proxyUrl && { 'proxy-url': proxyUrl }),
    ...(config != null && { config }),
  };
}

/** The protocol promises the plugin the environment of whoever runs it. */
function inherited(): Record<string, string> {
  const entries = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(entries);
}

const failed = (plugin: ExecPlugin, reason: string): ApiError =>
  new ApiError(`ask credential plugin ${plugin.command}: ${reason}`, { code: 'credentials' });
