import type { Clock } from '../../../../base/clock.js';
import { errorText } from '../../../../base/errors.js';
import type { Logger } from '../../../../base/log.js';
import type { RunProgram } from '../../../../base/run-program.js';
import { linkSignal } from '../../../../base/signals.js';
import { Recovery, type RecoverySource } from '../../recovery.js';
import { ApiError, statusOf } from './api-error.js';
import { CredentialSource, type Credentials } from './credentials.js';
import { environmentProxy } from './environment-proxy.js';
import { openHttp2Transport } from './http2-transport.js';
import type { ClusterConfig } from './kubeconfig.js';
import { readText } from './read-text.js';
import type { RequestCounts } from './request-counts.js';
import { SteadyTrouble } from './steady-trouble.js';
import type { HttpAnswer, HttpRequest, Transport } from './transport.js';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type BodyType = 'json' | 'merge-patch' | 'strategic-merge-patch';

export interface ApiRequest {
  readonly method: Method;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  readonly body?: unknown;
  readonly bodyType?: BodyType | undefined;
  /** For the whole answer, tries included. Default 30 s. */
  readonly timeoutMs?: number | undefined;
}

export interface ApiClientOptions {
  readonly userAgent: string;
}

export interface ApiClientDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly run: RunProgram;
  readonly counts?: RequestCounts | undefined;
  /** Shared by all clients of one server; its own where none is given. */
  readonly recovery?: Recovery | undefined;
}

/** Whether the server answers, for those who explain what a node waits for. */
export interface Reachability {
  readonly reachable: boolean;
  /** What it last failed with; empty while it answers, and before it was asked. */
  readonly problem: string;
}

const defaultTimeoutMs = 30_000;
const maxAnswerBytes = 64 * 1024 * 1024;
/** Credentials that were refused, or are missing, are looked at this often: whoever makes them good need not wait for a try. */
const newCredentialsMs = 1000;
/** Paths that the server refused: those of a node's heartbeats are three. */
const mostRefused = 64;
/** A server that asks to come back later is asked again so often, and waited for so long, within the time limit of the call. */
const busy = { tries: 5, longestMs: 30_000 };

const contentTypes: Record<BodyType, string> = {
  json: 'application/json',
  'merge-patch': 'application/merge-patch+json',
  'strategic-merge-patch': 'application/strategic-merge-patch+json',
};

/** Requests to one API server. Has no limit of its own: the server's priority and fairness says when it is too much. */
export class ApiClient implements AsyncDisposable, RecoverySource {
  readonly server: string;
  readonly #config: ClusterConfig;
  readonly #options: ApiClientOptions;
  readonly #deps: ApiClientDeps;
  readonly #credentials: CredentialSource;
  #transport: { readonly key: string; readonly transport: Transport } | undefined;
  readonly #trouble: SteadyTrouble;
  /** What was said of the server last; undefined before it was asked. */
  #said: 'answers' | 'cannot be used' | undefined;
  readonly #recovery: Recovery;
  /** What the server did not allow when it was last asked. */
  readonly #refused = new Set<string>();
  #awaitingCredentials: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(config: ClusterConfig, options: ApiClientOptions, deps: ApiClientDeps) {
    this.server = config.server;
    this.#config = config;
    this.#options = options;
    this.#deps = deps;
    this.#credentials = new CredentialSource(config, deps);
    this.#trouble = new SteadyTrouble(deps.clock);
    this.#recovery = deps.recovery ?? new Recovery();
  }

  get reachability(): Reachability {
    const { words } = this.#trouble;
    return { reachable: this.#said !== undefined && words === '', problem: words };
  }

  /** Tells when the server can be used again, allows what it refused, or there are other credentials than those it refused. */
  onRecovery(listener: () => void): Disposable {
    return this.#recovery.onRecovery(listener);
  }

  /** Sends a request and reads the object that answers it. Errors of the server and of the way there are `ApiError`s. */
  async json<T>(request: ApiRequest, signal: AbortSignal): Promise<T> {
    const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
    using limited = linkSignal(signal, { timeoutMs });
    try {
      return await this.#tries<T>(request, limited.signal);
    } catch (err) {
      signal.throwIfAborted();
      const failed = limited.signal.aborted
        ? new ApiError(`${name(request)}: no answer within ${timeoutMs} ms`, { code: 'timed-out' })
        : err;
      this.#note(request, failed);
      throw failed;
    }
  }

  /** Opens an answer that is read as it comes; the signal ends it. Rejects for an error status. */
  async open(request: ApiRequest, signal: AbortSignal): Promise<HttpAnswer> {
    try {
      const answer = await this.#send(request, signal);
      if (answer.status >= 400) throw await this.#statusError(request, answer, signal);
      this.#note(request, undefined);
      return answer;
    } catch (err) {
      signal.throwIfAborted();
      // Whoever asks next shows what there is then: a node may do nothing but watch.
      if (statusOf(err) === 401) this.#credentials.refused();
      this.#note(request, err);
      throw err;
    }
  }

  /** Gives up all connections; the next request makes a new one. */
  reset(reason: string): void {
    this.#transport?.transport.reset(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#awaitCredentials(false);
    await this.#transport?.transport[Symbol.asyncDispose]();
    this.#transport = undefined;
  }

  async #tries<T>(request: ApiRequest, signal: AbortSignal): Promise<T> {
    let refused = false;
    for (let tries = 1; ; tries++) {
      try {
        const answer = await this.#send(request, signal);
        if (answer.status >= 400) throw await this.#statusError(request, answer, signal);
        const result = await this.#parse<T>(request, answer, signal);
        this.#note(request, undefined);
        return result;
      } catch (err) {
        signal.throwIfAborted();
        if (!(err instanceof ApiError)) throw err;
        const status = statusOf(err);
        const again: boolean = status === 401 && !refused && this.#credentials.refused();
        refused ||= again;
        const wait = again ? 0 : this.#retryDelay(request, err, tries);
        if (wait === undefined) throw err;
        this.#deps.counts?.triedAgain(request.method, status === 0 ? undefined : status);
        if (!again) await this.#deps.clock.sleep(wait, signal);
      }
    }
  }

  /** Undefined when asking again at once would not help. */
  #retryDelay(request: ApiRequest, err: ApiError, tries: number): number | undefined {
    if (err.failure.code === 'unreachable')
      // A connection that was idle may have been closed by the other side in the meantime.
      return tries === 1 && request.method !== 'POST' && this.reachability.reachable ? 0 : undefined;
    if (err.failure.code !== 'status' || err.failure.retryAfterMs === undefined || tries >= busy.tries)
      return undefined;
    return Math.min(err.failure.retryAfterMs * (1 + Math.random() / 4), busy.longestMs);
  }

  async #send(request: ApiRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const credentials = await this.#credentials.current(signal);
    const transport = await this.#transportFor(credentials);
    const began = performance.now();
    const count = (status: number | undefined): void =>
      this.#deps.counts?.answered(request.method, status, (performance.now() - began) / 1000);
    try {
      const wire = this.#wire(request, credentials);
      if (wire.body !== undefined) this.#deps.counts?.sent(request.method, Buffer.byteLength(wire.body));
      const answer = await transport.send(wire, signal);
      count(answer.status);
      return answer;
    } catch (err) {
      count(undefined);
      throw err;
    }
  }

  #wire({ method, path, query, body, bodyType = 'json' }: ApiRequest, credentials: Credentials): HttpRequest {
    const { pathname } = new URL(this.#config.server);
    const prefix = pathname === '/' ? '' : pathname;
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query ?? {})) if (value !== undefined) search.set(key, String(value));
    const text = search.size === 0 ? '' : `?${search.toString()}`;
    return {
      method,
      path: `${prefix}${path}${text}`,
      headers: {
        accept: 'application/json',
        'user-agent': this.#options.userAgent,
        ...this.#config.impersonate,
        ...(credentials.authorization !== undefined && { authorization: credentials.authorization }),
        ...(body !== undefined && { 'content-type': contentTypes[bodyType] }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    };
  }

  /** New credentials make a new connection; what runs on the old one is asked again on the new. */
  async #transportFor(credentials: Credentials): Promise<Transport> {
    const { connectionKey: key } = credentials;
    if (this.#transport?.key === key) return this.#transport.transport;
    const old = this.#transport;
    const server = new URL(this.#config.server);
    const proxyUrl = this.#config.proxyUrl ?? environmentProxy(server, process.env);
    const plain = server.protocol !== 'https:' || proxyUrl !== undefined;
    const open = plain ? (await import('./http1-transport.js')).openHttp1Transport : openHttp2Transport;
    const transport = open(server, credentials, proxyUrl);
    this.#transport = { key, transport };
    await old?.transport[Symbol.asyncDispose]();
    return transport;
  }

  async #parse<T>(request: ApiRequest, answer: HttpAnswer, signal: AbortSignal): Promise<T> {
    const text = await this.#text(request, answer, signal);
    const refuse = (why: string): ApiError =>
      new ApiError(`${name(request)}: the answer is ${why}: ${text.slice(0, 200)}`, { code: 'garbage' });
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw refuse('not JSON');
    }
    if (!isApiObject(value)) throw refuse('no object of Kubernetes');
    return value as T;
  }

  async #statusError(request: ApiRequest, answer: HttpAnswer, signal: AbortSignal): Promise<ApiError> {
    const text = await this.#text(request, answer, signal);
    const said = parseStatus(text);
    const after = Number(answer.headers['retry-after']);
    const own = answer.status === 401 ? this.#credentials.refusalReason : undefined;
    const words = `${said.message || text.slice(0, 200)}${own === undefined ? '' : `: ${own}`}`;
    return new ApiError(`${name(request)}: ${answer.status} ${words}`, {
      code: 'status',
      status: answer.status,
      reason: said.reason,
      ...(Number.isFinite(after) && after >= 0 && answer.headers['retry-after'] && { retryAfterMs: after * 1000 }),
    });
  }

  async #text(request: ApiRequest, answer: HttpAnswer, signal: AbortSignal): Promise<string> {
    try {
      const text = await readText(answer.body, maxAnswerBytes, signal);
      this.#deps.counts?.received(request.method, Buffer.byteLength(text));
      return text;
    } catch (err) {
      signal.throwIfAborted();
      if (err instanceof ApiError) throw err;
      throw new ApiError(
        `${name(request)}: the answer broke off: ${errorText(err)}`,
        { code: 'unreachable' },
        { cause: err },
      );
    }
  }

  /** Says once that the server went away and once that it is back. */
  #note(request: ApiRequest, err: unknown): void {
    const isAnswer = err === undefined || answered(err);
    let isBack = false;
    if (isAnswer) isBack = this.#trouble.succeeded();
    else this.#trouble.failed(errorText(err));
    this.#awaitCredentials(lacksCredentials(err));
    const { log } = this.#deps;
    const { words } = this.#trouble;
    const say = words === '' ? 'answers' : 'cannot be used';
    const isNews = say !== this.#said;
    this.#said = say;
    if (isNews && words === '') log.info({ server: this.server }, 'the API server answers');
    else if (isNews) log.warn({ server: this.server, err: words }, 'the API server cannot be used; pods keep running');
    const isAllowed = this.#noteRefusal(name(request), err);
    if (isBack || isAllowed) this.#recovery.announce();
  }

  /** True when the server now allows what it refused before. */
  #noteRefusal(what: string, err: unknown): boolean {
    if (err === undefined) return this.#refused.delete(what);
    if (statusOf(err) === 403) this.#refused.add(what);
    if (this.#refused.size > mostRefused) this.#refused.delete(this.#refused.keys().next().value as string);
    return false;
  }

  #awaitCredentials(wanted: boolean): void {
    if (wanted && this.#awaitingCredentials) return;
    clearInterval(this.#awaitingCredentials);
    this.#awaitingCredentials = undefined;
    if (!wanted || this.#closed) return;
    const look = async (): Promise<void> => {
      if (await this.#credentials.changed()) this.#recovery.announce();
    };
    this.#awaitingCredentials = setInterval(() => void look(), newCredentialsMs).unref();
  }
}

/** Other credentials would help, or another authority to trust. */
function lacksCredentials(err: unknown): boolean {
  if (!(err instanceof ApiError)) return false;
  const { code } = err.failure;
  return code === 'credentials' || code === 'untrusted' || statusOf(err) === 401;
}

/** An answer that says no is an answer; one that says who are you, or I am broken, is not. */
function answered(err: unknown): boolean {
  const status = statusOf(err);
  return status >= 400 && status < 500 && status !== 401 && status !== 429;
}

/**
 * Objects, lists and `Status` alike say their kind and have metadata (API conventions, "Types"). What does not was not written
 * by the server, and must not be taken for a write that it accepted.
 */
function isApiObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('metadata' in value)) return false;
  return typeof value.kind === 'string' && typeof value.metadata === 'object' && value.metadata !== null;
}

const name = ({ method, path }: ApiRequest): string => `${method} ${path}`;

function parseStatus(text: string): { reason: string; message: string } {
  try {
    const value = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const word = (key: string): string => (typeof value[key] === 'string' ? value[key] : '');
    return { reason: word('reason'), message: word('message') };
  } catch {
    return { reason: '', message: '' };
  }
}
