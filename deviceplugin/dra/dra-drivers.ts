import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import { isAbortOf } from '../../base/signals.js';
import type { NodeWatchResourcesResponse } from '../../proto/generated/dra-health-v1alpha1.js';
import { WireError, WireServices } from '../../proto/wire/index.js';
import type { PluginHandler, PluginInfo } from '../plugin-handler.js';
import { wireTrouble } from '../wire/wire-trouble.js';
import { DraDriver, draServices, type DraService } from './dra-driver.js';
import { DraError } from './dra-error.js';

export interface DraDriversDeps {
  readonly clock: Clock;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly onHealth: (driver: string, report: NodeWatchResourcesResponse) => void;
  /** Nobody tells of the health of its devices any more. */
  readonly onHealthEnd: (driver: string) => void;
  /** Told after a driver came or went. */
  readonly onDrivers: (names: readonly string[]) => void;
}

interface Registered {
  readonly id: string;
  readonly driver: DraDriver;
  readonly life: AbortController;
}

/** The kubelet's pause before a health stream is opened again. */
const healthRetryMs = 5000;

/** The drivers that are registered; of one name there may be several while a driver is updated. */
export class DraDrivers implements Disposable {
  readonly #timeoutMs: number;
  readonly #deps: DraDriversDeps;
  readonly #services = new WireServices();
  #registered: readonly Registered[] = [];

  constructor(options: { readonly timeoutMs: number }, deps: DraDriversDeps) {
    this.#timeoutMs = options.timeoutMs;
    this.#deps = deps;
  }

  /** The newest of this name; throws `driver-absent`. */
  get(name: string): DraDriver {
    const found = this.#registered.findLast(({ driver }) => driver.name === name);
    if (found !== undefined) return found.driver;
    throw new DraError(`find the DRA driver ${name}: it is not registered on this node`, {
      code: 'driver-absent',
      driver: name,
    });
  }

  names(): readonly string[] {
    return [...new Set(this.#registered.map(({ driver }) => driver.name))];
  }

  readonly handler: PluginHandler = {
    validate: async (plugin: PluginInfo) => {
      serviceOf(plugin);
      await Promise.resolve();
    },
    register: async (plugin: PluginInfo) => {
      const { name, endpoint } = plugin;
      if (this.#registered.some(({ driver }) => driver.name === name && driver.endpoint === endpoint)) {
        throw new DraError(`register DRA driver ${name}: its endpoint ${endpoint} is registered already`, {
          code: 'invalid-registration',
        });
      }
      const options = {
        name,
        endpoint,
        service: serviceOf(plugin),
        timeoutMs: this.#timeoutMs,
        services: this.#services,
      };
      const registered = {
        id: plugin.id,
        driver: new DraDriver(options, this.#deps.recorder),
        life: new AbortController(),
      };
      this.#registered = [...this.#registered, registered];
      this.#watchHealth(registered);
      this.#deps.onDrivers(this.names());
      await Promise.resolve();
    },
    deregister: async (plugin: PluginInfo) => {
      for (const each of this.#registered.filter(({ id }) => id === plugin.id)) close(each);
      this.#registered = this.#registered.filter(({ id }) => id !== plugin.id);
      this.#deps.onDrivers(this.names());
      await Promise.resolve();
    },
  };

  [Symbol.dispose](): void {
    for (const each of this.#registered) close(each);
    this.#registered = [];
  }

  #watchHealth({ driver, life }: Registered): void {
    const { clock, log, onHealth, onHealthEnd } = this.#deps;
    const { signal } = life;
    const watching = async (): Promise<void> => {
      while (true) {
        try {
          await driver.watchHealth((report) => onHealth(driver.name, report), signal);
        } catch (err) {
          if (!(err instanceof WireError)) throw err;
          // Telling of health is optional for a driver.
          if (wireTrouble(err) === 'unimplemented') return;
          log.debug({ err, driver: driver.name, retryInMs: healthRetryMs }, 'health stream of a DRA driver ended');
        }
        signal.throwIfAborted();
        onHealthEnd(driver.name);
        await clock.sleep(healthRetryMs, signal);
      }
    };
    watching().catch((err: unknown) => {
      if (!isAbortOf(err, signal)) log.error({ err, driver: driver.name }, 'watching a DRA driver failed');
    });
  }
}

function close({ driver, life }: Registered): void {
  life.abort();
  driver[Symbol.dispose]();
}

/** Drivers name the gRPC services they have as their versions. */
function serviceOf(plugin: PluginInfo): DraService {
  const service = draServices.find((each) => plugin.versions.includes(each));
  if (service !== undefined) return service;
  throw new DraError(
    `register DRA driver ${plugin.name}: it offers [${plugin.versions.join(', ')}], this node needs one of [${draServices.join(', ')}]`,
    { code: 'invalid-registration' },
  );
}
