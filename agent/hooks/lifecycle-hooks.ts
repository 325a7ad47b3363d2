import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { RuntimeService } from '../../cri/index.js';
import type { Container, EphemeralContainer, HTTPGetAction, LifecycleHandler } from '../api/index.js';
import { staticEnvironment } from '../containers/environment.js';
import { expand } from '../containers/expand.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { containerReference } from '../events/references.js';
import type { HookRunner, HookTarget } from '../executors/executor-deps.js';
import { StepError } from '../executors/step-error.js';
import type { HttpGet, HttpGetRequest } from '../probes/http-get.js';
import { resolvePort } from '../probes/resolve-port.js';

export interface LifecycleHooksDeps {
  readonly clock: Clock;
  readonly runtime: RuntimeService;
  readonly events: EventRecorder;
  readonly httpGet: HttpGet;
  /** `1.36`: the version hooks announce as `kube-lifecycle/1.36`. */
  readonly kubeVersion: string;
  /** A hook that sleeps was ended before its time. */
  readonly sleepCutShort?: (() => void) | undefined;
}

/** Runs postStart and preStop hooks (facts 2.7): exec without a timeout of its own, httpGet, sleep. */
export class LifecycleHooks implements HookRunner {
  readonly #deps: LifecycleHooksDeps;

  constructor(deps: LifecycleHooksDeps) {
    this.#deps = deps;
  }

  async postStart(target: HookTarget, signal: AbortSignal): Promise<void> {
    await this.#run('postStart', target.container.container.lifecycle?.postStart, target, signal);
  }

  async preStop(target: HookTarget, signal: AbortSignal): Promise<void> {
    await this.#run('preStop', target.container.container.lifecycle?.preStop, target, signal);
  }

  async #run(
    name: 'postStart' | 'preStop',
    handler: LifecycleHandler | undefined,
    target: HookTarget,
    signal: AbortSignal,
  ): Promise<void> {
    if (!handler) return;
    const { container } = target.container;
    if (handler.exec) return this.#exec(name, handler.exec.command ?? [], target, signal);
    if (handler.sleep) return await this.#sleep(handler.sleep.seconds, signal);
    if (handler.httpGet) return this.#http(name, handler.httpGet, target, signal);
    throw new StepError(
      `${name === 'postStart' ? 'PostStart' : 'PreStop'}HookError`,
      `run ${name} hook of ${container.name}: invalid handler`,
    );
  }

  async #sleep(seconds: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.clock.sleep(seconds * 1000, signal);
    } catch (err) {
      if (signal.aborted) this.#deps.sleepCutShort?.();
      throw err;
    }
  }

  async #exec(name: string, command: readonly string[], target: HookTarget, signal: AbortSignal): Promise<void> {
    const { container } = target.container;
    const env = staticEnvironment(container);
    const cmd = command.map((word) => expand(word, (key) => env.get(key)));
    const result = await this.#deps.runtime.execSync({ containerId: target.containerId, cmd, timeout: 0 }, signal);
    if ((result.exitCode ?? 0) === 0) return;
    const output = Buffer.concat([result.stdout ?? new Uint8Array(), result.stderr ?? new Uint8Array()])
      .toString('utf8')
      .trim()
      .slice(0, 1024);
    throw new StepError(
      'PostStartHookError',
      `run ${name} hook of ${container.name}: command '${cmd.join(' ')}' exited with ${result.exitCode}: ${output}`,
    );
  }

  /** HTTPS that is answered by plain HTTP is tried again without TLS, and said. */
  async #http(name: string, action: HTTPGetAction, target: HookTarget, signal: AbortSignal): Promise<void> {
    const { container } = target.container;
    const scheme = action.scheme ?? 'HTTP';
    const request = {
      scheme,
      host: action.host || target.podIp,
      port: resolvePort(container, action.port),
      path: action.path ?? '/',
      headers: action.httpHeaders ?? [],
      userAgent: `kube-lifecycle/${this.#deps.kubeVersion}`,
    } as const;
    try {
      await this.#deps.httpGet(request, signal);
    } catch (err) {
      signal.throwIfAborted();
      if (scheme !== 'HTTPS' || !answersPlainHttp(err)) throw hookError(name, container, err);
      await this.#httpInstead(name, request, target, signal);
    }
  }

  /** Credentials that were meant for TLS do not go over the wire without it. */
  async #httpInstead(name: string, request: HttpGetRequest, target: HookTarget, signal: AbortSignal): Promise<void> {
    const headers = request.headers.filter((header) => header.name.toLowerCase() !== 'authorization');
    try {
      await this.#deps.httpGet({ ...request, scheme: 'HTTP', headers }, signal);
    } catch (err) {
      signal.throwIfAborted();
      throw hookError(name, target.container.container, err);
    }
    this.#deps.events.record(
      containerReference(target.pod, target.container),
      'Warning',
      'LifecycleHTTPFallback',
      'request to HTTPS lifecycle hook got HTTP response, retry with HTTP succeeded',
    );
  }
}

function hookError(name: string, container: Container | EphemeralContainer, err: unknown): StepError {
  return new StepError('PostStartHookError', `run ${name} hook of ${container.name}: ${errorText(err)}`, err);
}

/** OpenSSL's code for an answer that is no TLS record. */
function answersPlainHttp(err: unknown): boolean {
  return (
    err instanceof Error && 'code' in err && (err.code === 'ERR_SSL_WRONG_VERSION_NUMBER' || err.code === 'EPROTO')
  );
}
