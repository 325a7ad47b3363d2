import type { Duplex, Readable } from 'node:stream';
import type { CallRecorder, CallSubject } from '../../base/call-recorder.js';
import { errnoOf, errorText } from '../../base/errors.js';
import { TimedOut, linkSignal, orAbort } from '../../base/signals.js';
import { criError, type CriCode, type CriError } from '../contract/cri-error.js';

type Query = Readonly<Record<string, string | number | boolean | object | undefined>>;

export interface DockerRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Without query: `/containers/json`. */
  readonly path: string;
  readonly query?: Query | undefined;
  readonly body?: object | undefined;
  /** The words of failures and of the recorder: "create container". Recorded when it changes something. */
  readonly verb: string;
  readonly subject?: CallSubject | undefined;
  /** Undefined: the ordinary deadline; null: none. */
  readonly deadlineMs?: number | null | undefined;
  /** A POST that asks, and is not recorded. */
  readonly changesNothing?: boolean | undefined;
  /** Credentials of a pull. */
  readonly auth?: object | undefined;
}

export interface DockerApiOptions {
  readonly socketPath: string;
  readonly deadlineMs: number;
}

/** The part of docker-modem that is used. */
interface Modem {
  version?: string | undefined;
  dial(options: object, callback: (err: unknown, data: unknown) => void): void;
}

/** Docker Engine 20.10. */
const oldestApi = '1.41';
/** The newest API this was written for; a newer engine is spoken to in this one. */
const newestApi = '1.51';
const fine = { 101: true, 200: true, 201: true, 202: true, 204: true, 304: true };

/** Calls the Docker Engine through dockerode's transport: one place for deadlines, failures and the recorder. */
export class DockerApi {
  readonly #modem: Modem;
  readonly #options: DockerApiOptions;
  readonly #recorder: CallRecorder;

  private constructor(modem: Modem, options: DockerApiOptions, recorder: CallRecorder) {
    this.#modem = modem;
    this.#options = options;
    this.#recorder = recorder;
  }

  /** Loads dockerode, which takes half a second: only when Docker was chosen. Refuses an engine that is too old. */
  static async open(options: DockerApiOptions, recorder: CallRecorder, signal: AbortSignal): Promise<DockerApi> {
    const { default: Docker } = await import('dockerode');
    const docker = new Docker({ socketPath: options.socketPath });
    const api = new DockerApi(docker.modem, options, recorder);
    const version = await api.call<{ Version?: string; ApiVersion?: string; MinAPIVersion?: string }>(
      { method: 'GET', path: '/version', verb: 'ask Docker for its version' },
      signal,
    );
    const { Version = '', ApiVersion = '0.0', MinAPIVersion = '0.0' } = version;
    if (compareApi(ApiVersion, oldestApi) < 0) {
      const text = `open Docker at ${options.socketPath}: engine ${Version} speaks API ${ApiVersion}; ${oldestApi} (Docker 20.10) or later is needed`;
      throw criError('failed-precondition', text);
    }
    if (compareApi(MinAPIVersion, newestApi) > 0) {
      const text = `open Docker at ${options.socketPath}: engine ${Version} speaks API ${MinAPIVersion} or later; ${newestApi} is the newest known here`;
      throw criError('failed-precondition', text);
    }
    api.#modem.version = `v${compareApi(ApiVersion, newestApi) < 0 ? ApiVersion : newestApi}`;
    return api;
  }

  async call<T = unknown>(request: DockerRequest, signal: AbortSignal): Promise<T> {
    const deadlineMs = request.deadlineMs === undefined ? this.#options.deadlineMs : request.deadlineMs;
    using limit = linkSignal(signal, deadlineMs === null ? {} : { timeoutMs: deadlineMs, what: request.verb });
    return (await this.#dial(request, {}, signal, limit.signal)) as T;
  }

  /** The body as it comes: events, progress, archives. The signal must stay linked until the stream is read. */
  async stream(request: DockerRequest, signal: AbortSignal): Promise<Readable> {
    return (await this.#dial(request, { isStream: true }, signal, signal)) as Readable;
  }

  /** Takes the connection over: exec and attach. */
  async hijack(request: DockerRequest, signal: AbortSignal): Promise<Duplex> {
    return (await this.#dial(request, { hijack: true, openStdin: true, isStream: true }, signal, signal)) as Duplex;
  }

  /** Sends a tar archive as the body. */
  async upload(request: DockerRequest, archive: Readable, signal: AbortSignal): Promise<Readable> {
    return (await this.#dial(request, { isStream: true, file: archive }, signal, signal)) as Readable;
  }

  async #dial(request: DockerRequest, how: object, outer: AbortSignal, signal: AbortSignal): Promise<unknown> {
    outer.throwIfAborted();
    const { method, path, query = {}, body = {}, verb, subject, auth } = request;
    const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
    const ended =
      method === 'GET' || request.changesNothing === true
        ? undefined
        : this.#recorder.begin({
            interface: 'cri',
            plugin: 'docker',
            verb,
            subject: subject ?? {},
            request: { path, query: given },
          });
    try {
      const answered = new Promise<unknown>((resolve, reject) => {
        this.#modem.dial(
          {
            path: `${path}?`,
            method,
            options: { _query: given, _body: body },
            statusCodes: fine,
            abortSignal: signal,
            ...(auth && { authconfig: auth }),
            ...how,
          },
          (err, data) => (err ? reject(err) : resolve(data)),
        );
      });
      const response = await orAbort(answered, signal);
      ended?.({});
      return response;
    } catch (err) {
      const failure = dockerFailure(verb, signal.aborted ? signal.reason : err);
      ended?.({ error: { code: failure.failure.code, message: failure.message } });
      outer.throwIfAborted();
      throw failure;
    }
  }
}

function compareApi(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split('.').map(Number);
  const [bMajor = 0, bMinor = 0] = b.split('.').map(Number);
  return aMajor === bMajor ? aMinor - bMinor : aMajor - bMajor;
}

const codes: Readonly<Record<number, CriCode>> = {
  400: 'invalid-argument',
  401: 'permission-denied',
  403: 'permission-denied',
  404: 'not-found',
  409: 'failed-precondition',
  501: 'unimplemented',
  503: 'unavailable',
};

function dockerFailure(verb: string, err: unknown): CriError {
  if (err instanceof TimedOut) return criError('deadline-exceeded', err.message);
  const errno = errnoOf(err);
  if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ECONNRESET' || errno === 'EPIPE') {
    return criError('unavailable', `${verb}: Docker is not there: ${errorText(err)}`, err);
  }
  const { statusCode, json } = (err ?? {}) as { statusCode?: number; json?: { message?: string } };
  if (statusCode === undefined) return criError('unavailable', `${verb}: ${errorText(err)}`, err);
  const message = json?.message ?? errorText(err).trim();
  const taken = statusCode === 409 && /already in use by container/.test(message);
  return criError(taken ? 'already-exists' : (codes[statusCode] ?? 'unknown'), `${verb}: ${message}`);
}
