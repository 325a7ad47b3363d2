import { describeEnd, programSucceeded, type ProgramResult, type RunProgram } from '../../../base/run-program.js';
import type { CallRecorder, CallSubject } from '../../../base/call-recorder.js';
import { isAbortOf } from '../../../base/signals.js';
import { programFailure, skopeoWords } from './classify-failure.js';
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
  /** By host and port. */
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

  /** The manifest (or index) a registry has for the reference, byte for byte. */
  async inspectRaw(reference: string, source: RegistrySource, call: SkopeoCall, signal: AbortSignal): Promise<Buffer> {
    const { file } = source.login;
    const argv = [
      ...this.#globals(),
      'inspect',
      '--raw',
      ...(file === undefined ? ['--no-creds'] : ['--authfile', file]),
      ...this.#tls(source.domain, ''),
      `docker://${reference}`,
    ];
    return (await this.#run('inspect', argv, call, signal)).stdout;
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
      ...(registry === undefined ? [] : this.#tls(registry.domain, 'src-')),
      request.source,
      request.destination,
    ];
    await this.#run('copy', argv, call, signal);
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

  #tls(domain: string, side: '' | 'src-'): string[] {
    const access = this.#options.registries[domain];
    return [
      ...(access?.insecure === true ? [`--${side}tls-verify=false`] : []),
      ...(access?.certDir === undefined ? [] : [`--${side}cert-dir`, access.certDir]),
    ];
  }

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
      if (programSucceeded(result)) {
        done({});
        return result;
      }
      const failure = programFailure(call.what, result);
      done({ error: { code: failure.failure.reason, message: skopeoWords(result.stderr) || describeEnd(result) } });
      throw failure;
    } catch (err) {
      if (isAbortOf(err, signal)) done({ error: { code: 'cancelled', message: 'stopped' } });
      throw err;
    }
  }
}
