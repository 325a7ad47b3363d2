import { join } from 'node:path';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { isAbortOf, linkSignal } from '../../base/signals.js';
import type { RegisterRequest } from '../../proto/generated/deviceplugin-v1beta1.js';
import type { WireServices } from '../../proto/wire/index.js';
import type { RememberedPlugin } from '../checkpoint/checkpoint-format.js';
import { DevicePluginError } from '../device-plugin-error.js';
import type { PluginHandler, PluginInfo } from '../plugin-handler.js';
import type { PluginTimeouts } from '../plugin/plugin-calls.js';
import { PluginEndpoint } from '../plugin/plugin-endpoint.js';
import type { UnixServer } from '../wire/unix-server.js';
import { somebodyListens } from './plugin-folder.js';
import { checkRegistration, checkResourceName, checkVersions, serveRegistration } from './registration.js';
import type { Resources } from './resources.js';

export interface PluginIntakeOptions {
  readonly folder: string;
  readonly timeouts: PluginTimeouts;
  readonly graceMs: number;
  readonly retryMs: number;
  /** What plugins may not offer, for the node's configuration does. */
  readonly poolResources: ReadonlySet<string>;
}

export interface PluginIntakeDeps {
  readonly clock: Clock;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly resources: Resources;
  readonly services: WireServices;
  readonly onRemembered: () => void;
}

/** The three ways in for a plugin: the registration socket, the plugin watcher, and the memory of the last run. */
export class PluginIntake implements AsyncDisposable {
  /** Plugins that came over the registration socket, by resource. */
  readonly remembered = new Map<string, RememberedPlugin>();
  readonly #options: PluginIntakeOptions;
  readonly #deps: PluginIntakeDeps;
  #attempts = 0;
  /** The newest attempt that succeeded, by resource: an older one that takes longer must not win, one that failed is as if it never was. */
  readonly #taken = new Map<string, number>();
  /** Registrations of the plugin watcher, by their id. */
  readonly #byWatcher = new Map<string, PluginEndpoint>();
  readonly #life = new AbortController();
  #server: UnixServer | undefined;

  constructor(options: PluginIntakeOptions, deps: PluginIntakeDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get serving(): boolean {
    return this.#server !== undefined && !this.#life.signal.aborted;
  }

  get handler(): PluginHandler {
    return {
      validate: async (plugin: PluginInfo) => {
        checkVersions(plugin.versions, plugin.name);
        checkResourceName(plugin.name);
        this.#refuseWhenPool(plugin.name);
        await Promise.resolve();
      },
      register: async (plugin: PluginInfo, signal: AbortSignal) => {
        this.#byWatcher.set(plugin.id, await this.#connect(plugin.name, plugin.endpoint, signal));
      },
      deregister: async (plugin: PluginInfo) => {
        const endpoint = this.#byWatcher.get(plugin.id);
        this.#byWatcher.delete(plugin.id);
        if (endpoint !== undefined) this.#deps.resources.drop(endpoint, `its socket ${plugin.socketPath} was removed`);
        await Promise.resolve();
      },
    };
  }

  /** Opens the registration socket; rejects with `DevicePluginError`. */
  async serve(): Promise<void> {
    const path = join(this.#options.folder, 'kubelet.sock');
    try {
      this.#server = await serveRegistration(path, this.#deps.services, (request) => this.#onRegister(request));
    } catch (err) {
      throw new DevicePluginError(
        `serve the registration of device plugins on ${path}: ${errorText(err)}`,
        { code: 'not-serving', path },
        { cause: err },
      );
    }
  }

  /** The sockets of remembered plugins that somebody still listens on, by resource. */
  async alive(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const alive = new Map<string, string>();
    for (const [resource, { socketPath }] of this.remembered) {
      if (await somebodyListens(socketPath, signal)) alive.set(resource, socketPath);
    }
    return alive;
  }

  /** Dials plugins; they may register by themselves at the same time: the newest wins. Resolves when each was taken or not. */
  async reconnect(sockets: ReadonlyMap<string, string>): Promise<void> {
    const { signal } = this.#life;
    const dialled = [...sockets].map(async ([resource, socketPath]) => {
      try {
        await this.#connect(resource, socketPath, signal);
      } catch (err) {
        if (isAbortOf(err, signal)) return;
        this.#deps.log.warn({ err, resource, socketPath }, 'device plugin of before not taken, waiting for it');
      }
    });
    await Promise.all(dialled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort();
    await this.#server?.[Symbol.asyncDispose]();
  }

  async #onRegister(request: RegisterRequest): Promise<void> {
    const { log, recorder } = this.#deps;
    const { resourceName = '', endpoint: object } = request;
    const end = recorder.begin({
      interface: 'device-plugin',
      plugin: resourceName,
      verb: 'Register',
      subject: { object },
      request,
    });
    try {
      const { resource, socketPath } = checkRegistration(request, this.#options.folder);
      this.#refuseWhenPool(resource);
      const endpoint = await this.#connect(resource, socketPath, this.#life.signal);
      // A socket serves one resource: what it served before is not to be looked for there.
      for (const [other, { socketPath: taken }] of this.remembered) {
        if (taken === socketPath && other !== resource) this.remembered.delete(other);
      }
      this.remembered.set(resource, { socketPath, preStartRequired: endpoint.options.preStartRequired });
      this.#deps.onRemembered();
      end({});
      log.info({ resource, socketPath }, 'device plugin registered');
    } catch (err) {
      const code = err instanceof DevicePluginError ? err.failure.code : 'unknown';
      end({ error: { code, message: errorText(err) } });
      log.warn({ err, resource: request.resourceName, endpoint: request.endpoint }, 'device plugin refused');
      throw err;
    }
  }

  async #connect(resource: string, socketPath: string, signal: AbortSignal): Promise<PluginEndpoint> {
    const attempt = ++this.#attempts;
    using linked = linkSignal(this.#life.signal);
    const onAbort = (): void => linked.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    let endpoint: PluginEndpoint;
    try {
      signal.throwIfAborted();
      endpoint = await PluginEndpoint.connect({ ...this.#options, resource, socketPath }, this.#deps, linked.signal);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    if ((this.#taken.get(resource) ?? 0) > attempt) {
      await endpoint[Symbol.asyncDispose]();
      throw new DevicePluginError(`register ${resource}: a newer registration of it came in meanwhile`, {
        code: 'invalid-registration',
        what: 'taken',
      });
    }
    this.#taken.set(resource, attempt);
    this.#deps.resources.adopt(endpoint);
    return endpoint;
  }

  #refuseWhenPool(resource: string): void {
    if (!this.#options.poolResources.has(resource)) return;
    throw new DevicePluginError(`register ${resource}: a device pool of this node's configuration offers it`, {
      code: 'invalid-registration',
      what: 'taken',
    });
  }
}
