import { readFile, stat } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { fileStamp } from '../../../../base/file-stamp.js';
import { toRfc3339, type Clock } from '../../../../base/clock.js';
import { errnoOf, errorText } from '../../../../base/errors.js';
import type { RunProgram } from '../../../../base/run-program.js';
import { ApiError } from './api-error.js';
import { askExecPlugin, type ExecClusterInfo, type ExecCredential } from './exec-credentials.js';
import type { ExecPluginCounts } from './exec-plugin-counts.js';
import type { ClusterConfig, ExecPlugin, Material } from './kubeconfig.js';

/** What a connection is made with, and what each request carries. */
export interface Credentials {
  /** Changes when a new connection is needed. */
  readonly connectionKey: string;
  readonly tls: {
    readonly ca: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
    readonly serverName: string | undefined;
    readonly insecure: boolean;
  };
  readonly authorization: string | undefined;
}

export interface CredentialsDeps {
  readonly clock: Clock;
  readonly run: RunProgram;
  readonly counts?: { readonly plugin: ExecPluginCounts } | undefined;
}

interface KnownFile {
  readonly identity: string;
  readonly content: string;
}

/** Files are looked at this often at most; a client certificate is renewed rarely and a token lives minutes. */
const recheckMs = 5000;
/** A plugin's credential is renewed this long before it expires. */
const execMarginMs = 30_000;

/** The credentials of a kubeconfig, read anew when a file changes, a plugin's credential expires, or the server refused them. */
export class CredentialSource {
  readonly #config: ClusterConfig;
  readonly #deps: CredentialsDeps;
  readonly #files = new Map<string, KnownFile>();
  /** Of the files as they were last looked at; they outlive what was read of them. */
  readonly #identities = new Map<string, string>();
  #checkedAt = Number.NEGATIVE_INFINITY;
  #current: Credentials | undefined;
  #exec: ExecCredential | undefined;
  #pending: Promise<Credentials> | undefined;

  constructor(config: ClusterConfig, deps: CredentialsDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  async current(signal: AbortSignal): Promise<Credentials> {
    const now = this.#deps.clock.now();
    const execExpired = this.#exec?.expiresAt !== undefined && now > this.#exec.expiresAt - execMarginMs;
    // A clock that was set back must not freeze them.
    const fresh = Math.abs(now - this.#checkedAt) < recheckMs && !execExpired;
    if (this.#current && fresh) return this.#current;
    this.#pending ??= this.#read(execExpired, signal).finally(() => (this.#pending = undefined));
    return await this.#pending;
  }

  /** Why a server may refuse what was shown to it last, where that can be told from here. */
  get refusalReason(): string | undefined {
    const cert = this.#current?.tls.cert;
    if (cert === undefined || this.#current?.authorization !== undefined) return undefined;
    try {
      const { validTo } = new X509Certificate(cert);
      const end = Date.parse(validTo);
      return end < this.#deps.clock.now() ? `the client certificate expired at ${toRfc3339(end)}` : undefined;
    } catch {
      return 'the client certificate cannot be read';
    }
  }

  /** The server said 401: what was read before is not to be trusted. True when it is worth asking again. */
  refused(): boolean {
    const hadExec = this.#exec !== undefined;
    this.#exec = undefined;
    this.#checkedAt = Number.NEGATIVE_INFINITY;
    this.#files.clear();
    return hadExec || this.#config.token?.kind === 'file' || this.#config.clientCertificate?.kind === 'file';
  }

  /** True when files are other ones than were last read; they are read again by the next who asks. */
  async changed(): Promise<boolean> {
    const { ca, clientCertificate, clientKey, token } = this.#config;
    for (const material of [ca, clientCertificate, clientKey, token]) {
      if (material?.kind !== 'file') continue;
      const identity = await identityOf(material.path).catch(() => undefined);
      if (identity === this.#identities.get(material.path)) continue;
      this.#checkedAt = Number.NEGATIVE_INFINITY;
      return true;
    }
    return false;
  }

  async #read(renewExec: boolean, signal: AbortSignal): Promise<Credentials> {
    const config = this.#config;
    const ca = await this.#content(config.ca);
    let cert = await this.#content(config.clientCertificate);
    let key = await this.#content(config.clientKey);
    let token = (await this.#content(config.token))?.trim();
    if (config.exec && !token && !cert) {
      if (!this.#exec || renewExec) {
        const { server, serverName, insecure, proxyUrl } = config;
        this.#exec = await this.#ask(config.exec, { server, serverName, insecure, ca, proxyUrl }, signal);
      }
      cert = this.#exec.certificate;
      key = this.#exec.key;
      token = this.#exec.token;
    }
    const basic = config.basic;
    const authorization = token
      ? `Bearer ${token}`
      : basic && `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`;
    this.#checkedAt = this.#deps.clock.now();
    const tls = { ca, cert, key, serverName: config.serverName, insecure: config.insecure };
    const connectionKey = JSON.stringify([ca, cert, key]);
    const same = this.#current?.connectionKey === connectionKey && this.#current.authorization === authorization;
    if (!same) this.#current = { connectionKey, tls, authorization };
    return this.#current as Credentials;
  }

  async #ask(plugin: ExecPlugin, cluster: ExecClusterInfo, signal: AbortSignal): Promise<ExecCredential> {
    const { run, clock, counts } = this.#deps;
    const answer = await askExecPlugin(plugin, cluster, run, (...how) => counts?.plugin.called(...how), signal);
    counts?.plugin.holds(answer.certificate, clock.now());
    return answer;
  }

  async #content(material: Material | undefined): Promise<string | undefined> {
    if (material?.kind !== 'file') return material?.content;
    try {
      this.#identities.delete(material.path);
      const identity = await identityOf(material.path);
      this.#identities.set(material.path, identity);
      const known = this.#files.get(material.path);
      if (known?.identity === identity) return known.content;
      const content = await readFile(material.path, 'utf8');
      this.#files.set(material.path, { identity, content });
      return content;
    } catch (err) {
      const pending = errnoOf(err) === 'ENOENT' ? this.#config.pending?.() : undefined;
      if (pending !== undefined) throw new ApiError(pending, { code: 'credentials' });
      throw new ApiError(
        `read credentials ${material.path}: ${errorText(err)}`,
        { code: 'credentials' },
        { cause: err },
      );
    }
  }
}

const identityOf = async (path: string): Promise<string> => fileStamp(await stat(path));
