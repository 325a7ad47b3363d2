import { describeEnd, programSucceeded, type ProgramResult, type RunProgram } from '../../../../base/run-program.js';
import type { CallRecorder, CallSubject } from '../../../../base/call-recorder.js';
import { isAbortOf } from '../../../../base/signals.js';
import { programFailure, skopeoWords, speaksPlainHttp } from '../classify-failure.js';
import { isLoopbackHost } from './loopback-host.js';
import type { RegistryLogin } from './registry-login.js';

/** How one registry host is to be reached. */
export interface RegistryAccess {
  /** Plain http, or https with a certificate nobody vouches for. */
  readonly insecure?: boolean | undefined;
  /** Folder with `*.crt`, `*.cert`, `*.key` for it. */
  readonly certDir?: string | undefined;
}

export interface SkopeoOptions {
  readonly path: string;
  readonly policyFile: string;
  /** By host and port. One on the loopback that is not named here is spoken to over plain http when it knows nothing else. */
  readonly registries: Readonly<Record<string, RegistryAccess>>;
  readonly platform?:
    { readonly os: string; readonly architecture: string; readonly variant?: string | undefined } | undefined;
  /** Proxies and the like. */
  readonly env: Readonly<Record<string, string>>;
}

export interface SkopeoCall {
  /** "pull docker.io/library/busybox:latest", for messages. */
  readonly what: string;
  readonly subject: CallSubject;
  readonly timeoutMs?: number | undefined;
}

export interface RegistrySource {
  readonly domain: string;
  readonly login: RegistryLogin;
  /** It has said that it knows nothing else, and may do so. */
  readonly plainHttp?: boolean | undefined;
}

const maxManifestBytes = 8 * 1024 * 1024;
/** The longest a timer can be set for; what may not take for ever is stopped by its signal. */
const noTimeLimit = 2 ** 31 - 1;

/** skopeo as a typed, recorded program. */
export class Skopeo {
  readonly #options: SkopeoOptions;
  readonly #deps: { readonly run: RunProgram; readonly recorder: CallRecorder };

  constructor(options: SkopeoOptions, deps: { readonly run: RunProgram; readonly recorder: CallRecorder }) {
    this.#options = options;
    this.#deps = deps;
  }

  /** The manifest (or index) a registry has for the reference, byte for byte, and how it was reached: so it is copied from. */
  async inspectRaw(
    reference: string,
    source: RegistrySource,
    call: SkopeoCall,
    signal: AbortSignal,
  ): Promise<{ readonly raw: Buffer; readonly reached: RegistrySource }> {
    const inspect = async (from: RegistrySource): Promise<ProgramResult> => {
      const { file } = from.login;
      const login = file === undefined ? ['--no-creds'] : ['--authfile', file];
      const argv = [...this.#globals(), 'inspect', '--raw', ...login, ...this.#tls(from, ''), `docker://${reference}`];
      return await this.#run('inspect', argv, call, signal);
    };
    const first = await inspect(source);
    if (programSucceeded(first) || !speaksPlainHttp(first) || !(await this.#mayBePlain(source.domain))) {
      return { raw: mustHaveSucceeded(first, call).stdout, reached: source };
    }
    const reached = { ...source, plainHttp: true };
    return { raw: mustHaveSucceeded(await inspect(reached), call).stdout, reached };
  }

  /**
   * As with Docker, what cannot leave this machine need not be encrypted. Unlike there a certificate, where there is one, must be good:
   * credentials go on to whatever server such a registry names, perhaps at the far end of a tunnel. What is configured for a
   * registry holds in any case.
   */
  async #mayBePlain(domain: string): Promise<boolean> {
    return this.#options.registries[domain] === undefined && (await isLoopbackHost(domain));
  }

  /** Copies one image. `source` and `destination` are `transport:details`. */
  async copy(
    request: {
      readonly source: string;
      readonly destination: string;
      readonly registry?: RegistrySource | undefined;
      readonly tmpDir: string;
      readonly flags: readonly string[];
    },
    call: SkopeoCall,
    signal: AbortSignal,
  ): Promise<void> {
    const { registry } = request;
    const login =
      registry === undefined
        ? []
        : registry.login.file === undefined
          ? ['--src-no-creds']
          : ['--src-authfile', registry.login.file];
    const argv = [
      ...this.#globals(),
      '--tmpdir',
      request.tmpDir,
      'copy',
      '--quiet',
      '--remove-signatures',
      ...request.flags,
      ...login,
      ...(registry === undefined ? [] : this.#tls(registry, 'src-')),
      request.source,
      request.destination,
    ];
    mustHaveSucceeded(await this.#run('copy', argv, call, signal), call);
  }

  #globals(): string[] {
    const { platform, policyFile } = this.#options;
    return [
      '--policy',
      policyFile,
      ...(platform === undefined ? [] : ['--override-os', platform.os, '--override-arch', platform.architecture]),
      ...(platform?.variant === undefined ? [] : ['--override-variant', platform.variant]),
    ];
  }

  #tls({ domain, plainHttp }: RegistrySource, side: '' | 'src-'): string[] {
    const access = this.#options.registries[domain];
    return [
      ...(access?.insecure === true || plainHttp === true ? [`--${side}tls-verify=false`] : []),
      ...(access?.certDir === undefined ? [] : [`--${side}cert-dir`, access.certDir]),
    ];
  }

  /** Runs it to its end and records it; how it ended is for the caller to judge. */
  async #run(verb: string, args: readonly string[], call: SkopeoCall, signal: AbortSignal): Promise<ProgramResult> {
    const done = this.#deps.recorder.begin({
      interface: 'image',
      plugin: 'skopeo',
      verb,
      subject: call.subject,
      // Credentials travel in a file: the arguments hold none.
      request: { args },
    });
    try {
      const result = await this.#deps.run(
        {
          argv: [this.#options.path, ...args],
          env: this.#options.env,
          timeoutMs: call.timeoutMs ?? noTimeLimit,
          maxOutputBytes: maxManifestBytes,
        },
        signal,
      );
      if (programSucceeded(result)) done({});
      else {
        const code = programFailure(call.what, result).failure.reason;
        done({ error: { code, message: skopeoWords(result.stderr) || describeEnd(result) } });
      }
      return result;
    } catch (err) {
      if (isAbortOf(err, signal)) done({ error: { code: 'cancelled', message: 'stopped' } });
      throw err;
    }
  }
}

function mustHaveSucceeded(result: ProgramResult, call: SkopeoCall): ProgramResult {
  if (!programSucceeded(result)) throw programFailure(call.what, result);
  return result;
}
