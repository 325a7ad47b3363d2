import { randomUUID } from 'node:crypto';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { linkSignal } from '../../base/signals.js';
import type { PluginHandler, PluginRegistration } from '../registration/plugin-handler.js';
import { retryDelay } from '../registration/retry-delay.js';
import { probeSocket, WireServices } from '../../proto/wire/index.js';
import { CallsUnderWay, type DriverCall } from '../wire/calls-under-way.js';
import { queryCapabilities, type CsiCapabilities } from './csi-capabilities.js';
import { CsiConnection, csiTimeoutMs } from './csi-connection.js';
import { ControllerClient } from './controller-client.js';
import { CsiError, notRegistered } from './csi-error.js';
import { compareVersions, highestSupportedVersion } from './csi-version.js';
import { NodeClient, type NodeInfo } from './node-client.js';
import { isCsiDriverName } from './volume-ids.js';

export interface CsiDriversOptions {
  /** The deadline of each call of a driver; two minutes when absent. */
  readonly callTimeoutMs?: number | undefined;
  /** How long NodeGetInfo is tried while a driver registers; two minutes when absent. */
  readonly registerTimeoutMs?: number | undefined;
  /** For drivers whose controller listens on a socket of its own, by name; used where there is no cluster. */
  readonly controllerEndpoints?: Readonly<Record<string, string>> | undefined;
}

export interface CsiDriversDeps {
  readonly recorder: CallRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * Makes a driver known (CSINode, the Node's annotation and topology labels) before it is told that it is registered. When
   * it rejects, the registration is refused with its reason.
   */
  readonly announce?: ((driver: CsiDriverInfo, signal: AbortSignal) => Promise<void>) | undefined;
}

export type CsiDriverState =
  /** It registers; NodeGetInfo is being asked. */
  | { readonly kind: 'registering' }
  | { readonly kind: 'ready'; readonly node: NodeInfo; readonly capabilities: CsiCapabilities }
  /** Its registration was refused, or it did not answer; it is tried again. */
  | { readonly kind: 'failed' }
  /** It was here; its socket is gone. */
  | { readonly kind: 'gone' };

/** One driver, for CSINode and `berth plugins`. */
export interface CsiDriverInfo {
  readonly name: string;
  readonly endpoint: string;
  readonly state: CsiDriverState;
  /** When the state was entered; milliseconds since the epoch. */
  readonly since: number;
  readonly lastError: string | undefined;
}

/** A driver that can be called. It stays usable for the calls that run while the driver registers anew. */
export interface CsiDriver {
  readonly name: string;
  readonly endpoint: string;
  readonly nodeInfo: NodeInfo;
  readonly capabilities: CsiCapabilities;
  readonly node: NodeClient;
  readonly controller: ControllerClient;
}

interface Active {
  readonly registration: PluginRegistration;
  readonly connection: CsiConnection;
  readonly driver: CsiDriver;
}

/** The CSI drivers of this node, by name. Give `handler` to the plugin watcher as the handler of `CSIPlugin`. */
export class CsiDrivers implements Disposable {
  readonly #options: CsiDriversOptions;
  readonly #deps: CsiDriversDeps;
  /** Over all registrations of a driver: one that restarts is asked again, and not for the first time. */
  readonly #calls: CallsUnderWay;
  readonly #services = new WireServices();
  readonly #active = new Map<string, Active>();
  readonly #infos = new Map<string, CsiDriverInfo>();
  readonly #listeners = new Set<(driver: CsiDriverInfo) => void>();
  readonly #roomListeners = new Set<(name: string) => void>();

  constructor(options: CsiDriversOptions, deps: CsiDriversDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#calls = new CallsUnderWay(deps.recorder, deps.clock);
  }

  /** Calls of all drivers that have not ended. */
  underWay(): DriverCall[] {
    return this.#calls.list();
  }

  get handler(): PluginHandler {
    return {
      validate: (plugin, signal) => this.#validate(plugin, signal),
      register: (plugin, signal) => this.#register(plugin, signal),
      deregister: async (plugin) => this.#deregister(plugin),
    };
  }

  list(): CsiDriverInfo[] {
    return [...this.#infos.values()];
  }

  info(name: string): CsiDriverInfo | undefined {
    return this.#infos.get(name);
  }

  /** Throws `not-registered` with what is known about the driver. */
  get(name: string): CsiDriver {
    const active = this.#active.get(name);
    if (active !== undefined) return active.driver;
    const info = this.#infos.get(name);
    if (info === undefined) throw notRegistered(name, 'no driver of this name has registered');
    const since = new Date(info.since).toISOString();
    const reason = info.lastError === undefined ? '' : `: ${info.lastError}`;
    throw notRegistered(name, `it is ${info.state.kind} since ${since}${reason}`);
  }

  /** Resolves as soon as the driver can be called. */
  async whenReady(name: string, signal: AbortSignal): Promise<CsiDriver> {
    signal.throwIfAborted();
    return await new Promise<CsiDriver>((resolve, reject) => {
      const look = (): void => {
        const active = this.#active.get(name);
        if (active === undefined) return;
        stop();
        resolve(active.driver);
      };
      const unlisten = this.onChange(look);
      const onAbort = (): void => {
        stop();
        reject(signal.reason as Error);
      };
      const stop = (): void => {
        unlisten();
        signal.removeEventListener('abort', onAbort);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      look();
    });
  }

  /** Called after each change of a driver; returns how to stop it. */
  onChange(listener: (driver: CsiDriverInfo) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a driver into use that has no registration socket, when it is the one of this name. */
  async connect(name: string, endpoint: string, signal: AbortSignal): Promise<CsiDriver> {
    const plugin: PluginRegistration = {
      id: randomUUID(),
      type: 'CSIPlugin',
      name,
      endpoint,
      versions: ['1.0.0'],
      socketPath: endpoint,
    };
    await this.#checkName(plugin, signal);
    await this.#validate(plugin, signal);
    await this.#register(plugin, signal);
    return this.get(name);
  }

  /** With a registration socket the driver's registrar has asked; without one, an address may be another driver's. */
  async #checkName(plugin: PluginRegistration, signal: AbortSignal): Promise<void> {
    const { name, endpoint } = plugin;
    const { callTimeoutMs: timeoutMs } = this.#options;
    using connection = new CsiConnection({ driver: name, endpoint, timeoutMs, services: this.#services }, this.#calls);
    const told = await connection.identity('getPluginInfo', {}, signal);
    if (told.name !== name) throw refused(plugin, `it calls itself ${JSON.stringify(told.name ?? '')}`);
  }

  /** Asks NodeGetInfo again: the limit of volumes may have changed, or an attach was refused for lack of room. */
  async refresh(name: string, signal: AbortSignal): Promise<CsiDriverInfo> {
    const active = this.#active.get(name);
    if (active === undefined) throw notRegistered(name, 'no driver of this name is registered');
    const node = await active.driver.node.getInfo(signal);
    // It may have registered anew while it was asked; then that answer is the newer one.
    if (this.#active.get(name) === active) {
      const driver: CsiDriver = { ...active.driver, nodeInfo: node };
      this.#active.set(name, { ...active, driver });
      this.#enter(name, driver.endpoint, { kind: 'ready', node, capabilities: driver.capabilities });
    }
    return this.#infos.get(name) as CsiDriverInfo;
  }

  /** The driver has no room for another volume here, which its last NodeGetInfo may not have known. */
  noRoom(name: string): void {
    for (const listener of this.#roomListeners) listener(name);
  }

  /** Called when a driver has no room for another volume; returns how to stop it. */
  onNoRoom(listener: (name: string) => void): () => void {
    this.#roomListeners.add(listener);
    return () => this.#roomListeners.delete(listener);
  }

  /** Closes the connections; the drivers go on. */
  [Symbol.dispose](): void {
    for (const { connection } of this.#active.values()) connection[Symbol.dispose]();
    this.#active.clear();
  }

  async #validate(plugin: PluginRegistration, signal: AbortSignal): Promise<void> {
    if (!isCsiDriverName(plugin.name))
      throw refused(plugin, `${JSON.stringify(plugin.name)} is no name for a CSI driver`);
    const version = highestSupportedVersion(plugin.versions);
    if (version === undefined) {
      throw refused(plugin, `none of its versions [${plugin.versions.join(', ')}] is supported; 1.x is`);
    }
    const current = this.#active.get(plugin.name);
    if (current === undefined || current.registration.socketPath === plugin.socketPath) return;
    // The same driver behind a second socket, as when its registrar came back under another name.
    if (current.driver.endpoint === plugin.endpoint) return;
    const currentVersion = highestSupportedVersion(current.registration.versions);
    if (currentVersion === undefined || compareVersions(version, currentVersion) > 0) return;
    if (await this.#isDead(current, signal)) return;
    throw refused(
      plugin,
      `a driver of this name with the same or a higher version is registered at ${current.driver.endpoint}`,
    );
  }

  /** A driver that was killed leaves its sockets; its successor must not be refused because of them. */
  async #isDead(active: Active, signal: AbortSignal): Promise<boolean> {
    try {
      await probeSocket(active.driver.endpoint, signal);
      return false;
    } catch {
      signal.throwIfAborted();
      return true;
    }
  }

  async #register(plugin: PluginRegistration, signal: AbortSignal): Promise<void> {
    const { name, endpoint } = plugin;
    if (!this.#active.has(name)) this.#enter(name, endpoint, { kind: 'registering' });
    const connection = new CsiConnection(
      {
        driver: name,
        endpoint,
        controllerEndpoint: this.#options.controllerEndpoints?.[name],
        timeoutMs: this.#options.callTimeoutMs,
        services: this.#services,
      },
      this.#calls,
    );
    try {
      const driver = await this.#ask(connection, plugin, signal);
      const state = { kind: 'ready', node: driver.nodeInfo, capabilities: driver.capabilities } as const;
      const since = this.#deps.clock.now();
      await this.#deps.announce?.({ name, endpoint, state, since, lastError: undefined }, signal);
      this.#active.get(name)?.connection[Symbol.dispose]();
      this.#active.set(name, { registration: plugin, connection, driver });
      this.#enter(name, endpoint, state);
    } catch (err) {
      connection[Symbol.dispose]();
      // A driver that works goes on when a second one of its name does not.
      if (!this.#active.has(name)) {
        this.#enter(
          name,
          endpoint,
          { kind: signal.aborted ? 'gone' : 'failed' },
          signal.aborted ? undefined : errorText(err),
        );
      }
      throw err;
    }
  }

  async #ask(connection: CsiConnection, plugin: PluginRegistration, signal: AbortSignal): Promise<CsiDriver> {
    const node = new NodeClient(connection);
    const timeoutMs = this.#options.registerTimeoutMs ?? csiTimeoutMs;
    using limited = linkSignal(signal, { timeoutMs, what: `NodeGetInfo of CSI driver ${plugin.name}` });
    const nodeInfo = await this.#askUntilCertain(() => node.getInfo(limited.signal), limited.signal);
    const capabilities = await this.#askUntilCertain(
      () => queryCapabilities(connection, limited.signal),
      limited.signal,
    );
    return {
      name: plugin.name,
      endpoint: plugin.endpoint,
      nodeInfo,
      capabilities,
      node,
      controller: new ControllerClient(connection),
    };
  }

  /** A driver that is still starting says `Unavailable`; how long is up to the signal. */
  async #askUntilCertain<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      let lastError: CsiError;
      try {
        return await ask();
      } catch (err) {
        if (!(err instanceof CsiError) || err.failure.certainty === 'final') throw err;
        lastError = err;
      }
      const retryInMs = retryDelay(attempt, { firstMs: 100, longestMs: 5000 });
      this.#deps.log.info(
        { err: lastError, driver: lastError.failure.driver, retryInMs },
        'CSI driver is not ready yet',
      );
      try {
        await this.#deps.clock.sleep(retryInMs, signal);
      } catch {
        // What the driver said tells more than that the time is over.
        throw lastError;
      }
    }
  }

  #deregister(plugin: PluginRegistration): void {
    const active = this.#active.get(plugin.name);
    if (active?.registration.id !== plugin.id) return;
    this.#active.delete(plugin.name);
    active.connection[Symbol.dispose]();
    this.#enter(plugin.name, plugin.endpoint, { kind: 'gone' }, 'its registration socket went away');
  }

  #enter(name: string, endpoint: string, state: CsiDriverState, error?: string): void {
    const before = this.#infos.get(name);
    const info: CsiDriverInfo = {
      name,
      endpoint,
      state,
      since: before?.state.kind === state.kind && before.endpoint === endpoint ? before.since : this.#deps.clock.now(),
      lastError: state.kind === 'ready' ? undefined : (error ?? before?.lastError),
    };
    this.#infos.set(name, info);
    for (const listener of this.#listeners) listener(info);
  }
}

function refused(plugin: PluginRegistration, reason: string): CsiError {
  return new CsiError(`register CSI driver ${plugin.name} at ${plugin.endpoint}: ${reason}`, {
    code: 'malformed',
    driver: plugin.name,
    rpc: 'GetInfo',
    certainty: 'final',
  });
}
