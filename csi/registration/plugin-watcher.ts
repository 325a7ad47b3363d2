import { randomUUID } from 'node:crypto';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { linkSignal } from '../../base/signals.js';
import { TreeWatch } from '../watch/tree-watch.js';
import { WireServices } from '../../proto/wire/index.js';
import { findSockets, socketDepth } from './find-sockets.js';
import {
  RegistrationError,
  type PluginHandler,
  type PluginRegistration,
  type PluginState,
  type PluginStatus,
  type PluginType,
} from './plugin-handler.js';
import { registerPlugin } from './register-plugin.js';
import { kubeletRetry, retryDelay, type RetryDelayOptions } from './retry-delay.js';

export interface PluginWatcherOptions {
  /** `plugins_registry` under the kubelet's root; made when missing. */
  readonly folder: string;
  readonly retry?: RetryDelayOptions;
}

export interface PluginWatcherDeps {
  readonly handlers: Readonly<Partial<Record<PluginType, PluginHandler>>>;
  readonly recorder: CallRecorder;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One socket as it was made: a socket made anew on the same path is another one. */
interface Socket {
  readonly path: string;
  readonly identity: string;
  readonly stop: AbortController;
  status: PluginStatus;
  wake: () => void;
  done: Promise<void>;
}

/** Why a socket's loop ends: a plugin that went is deregistered, an agent that stops leaves things as they are. */
class SocketGone extends Error {}

/**
 * Registers every plugin that puts a socket into the folder, and takes it out of use when the socket goes. One loop per
 * socket, woken by file events; a timer runs only for a socket whose registration failed.
 */
export class PluginWatcher implements AsyncDisposable {
  readonly #options: PluginWatcherOptions;
  readonly #deps: PluginWatcherDeps;
  readonly #watch: TreeWatch;
  readonly #services = new WireServices();
  readonly #sockets = new Map<string, Socket>();
  readonly #listeners = new Set<(status: PluginStatus) => void>();
  readonly #ending = new Set<Promise<void>>();
  #scan: Promise<void> | undefined;
  #scanAgain = false;
  #closed = false;

  constructor(options: PluginWatcherOptions, deps: PluginWatcherDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#watch = new TreeWatch(
      { root: options.folder, mode: 0o750, depth: socketDepth },
      { log: deps.log, onChange: () => void this.#look() },
    );
  }

  /** Watches, and starts to register what is there; does not wait for the plugins. */
  async start(): Promise<void> {
    await this.#watch.start();
    await this.#look();
  }

  /** Every socket there is, and how far it got. */
  list(): PluginStatus[] {
    return [...this.#sockets.values()].map((socket) => socket.status);
  }

  /** Called after each change of a state; returns how to stop it. */
  onChange(listener: (status: PluginStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tries the failed registrations now, because something they may have waited for has changed. */
  retryNow(): void {
    for (const socket of this.#sockets.values()) if (socket.status.state.kind === 'failed') socket.wake();
  }

  /** Stops watching. Registered plugins stay registered: they outlive the agent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#watch[Symbol.dispose]();
    await this.#scan;
    for (const socket of this.#sockets.values()) socket.stop.abort(new Error('the plugin watcher stops'));
    await Promise.all([...this.#sockets.values()].map((socket) => socket.done));
    await Promise.all(this.#ending);
  }

  #look(): Promise<void> {
    if (this.#scan !== undefined) {
      this.#scanAgain = true;
      return this.#scan;
    }
    this.#scan = this.#rescan().finally(() => {
      this.#scan = undefined;
    });
    return this.#scan;
  }

  async #rescan(): Promise<void> {
    do {
      this.#scanAgain = false;
      try {
        const found = await findSockets(this.#options.folder);
        if (!this.#closed) this.#reconcile(found);
      } catch (err) {
        this.#deps.log.warn({ err, folder: this.#options.folder }, 'plugin folder cannot be read');
      }
    } while (this.#scanAgain && !this.#closed);
  }

  #reconcile(found: ReadonlyMap<string, string>): void {
    const before = new Map<string, Promise<void>>();
    for (const socket of this.#sockets.values()) {
      if (found.get(socket.path) === socket.identity) continue;
      socket.stop.abort(new SocketGone(`${socket.path} is gone or was replaced`));
      this.#sockets.delete(socket.path);
      const ended = socket.done.finally(() => this.#ending.delete(ended));
      this.#ending.add(ended);
      before.set(socket.path, ended);
    }
    for (const [path, identity] of found) {
      if (!this.#sockets.has(path)) this.#open(path, identity, before.get(path));
    }
  }

  /** What was there before on this path is out of use before its successor is asked anything. */
  #open(path: string, identity: string, before: Promise<void> = Promise.resolve()): void {
    const socket: Socket = {
      path,
      identity,
      stop: new AbortController(),
      status: { socketPath: path, since: this.#deps.clock.now(), state: { kind: 'connecting', attempt: 1 } },
      wake: () => {},
      done: Promise.resolve(),
    };
    this.#sockets.set(path, socket);
    socket.done = before.then(() => this.#serve(socket));
  }

  /** The loop of one socket; ends when the socket goes or the watcher is closed, and never rejects. */
  async #serve(socket: Socket): Promise<void> {
    const { signal } = socket.stop;
    let registered: PluginRegistration | undefined;
    for (let attempt = 1; !signal.aborted;) {
      try {
        registered = await this.#register(socket, attempt, signal);
        attempt = 1;
        this.#enter(socket, { kind: 'registered', plugin: registered });
        this.#deps.log.info(
          { plugin: registered.name, type: registered.type, socket: socket.path },
          'plugin registered',
        );
        await untilWoken(socket, signal);
      } catch (err) {
        if (signal.aborted) break;
        await this.#fail(socket, err, attempt, signal);
        attempt++;
      }
    }
    if (registered !== undefined && signal.reason instanceof SocketGone) await this.#deregister(registered);
  }

  async #register(socket: Socket, attempt: number, signal: AbortSignal): Promise<PluginRegistration> {
    this.#enter(socket, { kind: 'connecting', attempt });
    return await registerPlugin(
      socket.path,
      {
        handlers: this.#deps.handlers,
        recorder: this.#deps.recorder,
        services: this.#services,
        newId: randomUUID,
        onIdentified: (plugin) => this.#enter(socket, { kind: 'registering', attempt, plugin }),
      },
      signal,
    );
  }

  async #fail(socket: Socket, err: unknown, attempt: number, signal: AbortSignal): Promise<void> {
    const retryInMs = retryDelay(attempt, this.#options.retry ?? kubeletRetry);
    const { state } = socket.status;
    this.#enter(socket, {
      kind: 'failed',
      attempt,
      code: err instanceof RegistrationError ? err.failure.code : 'refused',
      reason: errorText(err),
      nextTry: this.#deps.clock.now() + retryInMs,
      plugin: state.kind === 'registering' ? state.plugin : undefined,
    });
    this.#deps.log.warn({ err, socket: socket.path, retryInMs }, 'plugin registration failed');
    using nap = linkSignal(signal);
    socket.wake = () => nap.abort();
    try {
      await this.#deps.clock.sleep(retryInMs, nap.signal);
    } catch (err) {
      if (!nap.signal.aborted) throw err;
    } finally {
      socket.wake = () => {};
    }
  }

  async #deregister(plugin: PluginRegistration): Promise<void> {
    try {
      await this.#deps.handlers[plugin.type]?.deregister(plugin);
      this.#deps.log.info({ plugin: plugin.name, type: plugin.type, socket: plugin.socketPath }, 'plugin deregistered');
    } catch (err) {
      this.#deps.log.error({ err, plugin: plugin.name, type: plugin.type }, 'plugin deregistration failed');
    }
    // Another socket of the same name was refused or superseded by the one that went: its turn now.
    for (const other of this.#sockets.values()) {
      const { state } = other.status;
      const twin = state.kind === 'connecting' ? undefined : state.plugin;
      if (twin?.type === plugin.type && twin.name === plugin.name) other.wake();
    }
  }

  #enter(socket: Socket, state: PluginState): void {
    socket.status = { socketPath: socket.path, since: this.#deps.clock.now(), state };
    if (socket.stop.signal.aborted) return;
    for (const listener of this.#listeners) listener(socket.status);
  }
}

async function untilWoken(socket: Socket, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    socket.wake = resolve;
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  socket.wake = () => {};
}
