import { readdir } from 'node:fs/promises';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errnoOf } from '../../base/errors.js';
import { FifoLimit } from '../../base/fifo-limit.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import { TreeWatch } from '../watch/tree-watch.js';
import type { DriverCall } from '../wire/calls-under-way.js';
import { driverNameOfFolder, driverProgram, isDriverName } from './driver-name.js';
import { flexVolumeError, type FlexVolumeVerb } from './failure.js';
import { FlexVolumeDriver, type FlexVolumeDriverStatus } from './flexvolume-driver.js';

/** Where the kubelet looks when nothing else is configured. */
export const defaultFlexVolumeFolder = '/usr/libexec/kubernetes/kubelet-plugins/volume/exec/';

export interface FlexVolumeRegistryOptions {
  /** `volumePluginDir`; made when missing. */
  readonly folder: string;
  /** The whole environment of every driver. Only a PATH when absent. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly timeouts?: Readonly<Partial<Record<FlexVolumeVerb, number>>> | undefined;
  readonly maxOutputBytes?: number | undefined;
}

export interface FlexVolumeRegistryDeps {
  readonly runProgram: RunProgram;
  readonly recorder: CallRecorder;
  readonly clock: Clock;
  readonly log: Logger;
}

const defaultEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

/** So many drivers are asked `init` at once when the folder is read. */
const initsAtOnce = 4;

/**
 * The FlexVolume drivers of a folder. A driver is an object that lives as long as the registry: its program may come,
 * change and go under it, and a volume of a driver that went is still unmounted by it when it is back.
 */
export class FlexVolumeRegistry implements AsyncDisposable {
  readonly #options: FlexVolumeRegistryOptions;
  readonly #deps: FlexVolumeRegistryDeps;
  readonly #drivers = new Map<string, FlexVolumeDriver>();
  readonly #listeners = new Set<(driver: FlexVolumeDriver) => void>();
  readonly #limit = new FifoLimit(initsAtOnce);
  readonly #stop = new AbortController();
  readonly #watch: TreeWatch;
  /** The drivers that are being asked, and whether they must be asked again after that. */
  readonly #asking = new Map<FlexVolumeDriver, { again: boolean; readonly done: Promise<void> }>();

  constructor(options: FlexVolumeRegistryOptions, deps: FlexVolumeRegistryDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#watch = new TreeWatch(
      // A driver that is being copied should be complete when it is asked.
      { root: options.folder, mode: 0o755, depth: 1, settleMs: 100 },
      { log: deps.log, onChange: () => void this.#refresh() },
    );
  }

  /**
   * Watches the folder and begins to ask every driver there `init`. Does not wait for them: a driver that hangs holds up its
   * own volumes only.
   */
  async start(): Promise<void> {
    await this.#watch.start();
    await this.#refresh();
  }

  /**
   * The driver of this name, installed or not: the calls of one that is not reject with `not-installed`. Throws that too for
   * a name no driver can have.
   */
  driver(name: string): FlexVolumeDriver {
    if (!isDriverName(name)) {
      throw flexVolumeError(name, 'init', { code: 'not-installed' }, 'a driver is named vendor/driver or driver');
    }
    const known = this.#drivers.get(name);
    if (known !== undefined) return known;
    const driver = new FlexVolumeDriver(
      {
        name,
        program: driverProgram(this.#options.folder, name),
        env: this.#options.env ?? defaultEnv,
        timeouts: this.#options.timeouts,
        maxOutputBytes: this.#options.maxOutputBytes,
      },
      { ...this.#deps, onChange: (changed) => this.#tell(changed) },
    );
    this.#drivers.set(name, driver);
    return driver;
  }

  /** Every driver that is installed, or was asked for. */
  list(): FlexVolumeDriverStatus[] {
    return [...this.#drivers.values()].map((driver) => driver.status);
  }

  /** Calls of all drivers that have not ended. */
  underWay(): DriverCall[] {
    return [...this.#drivers.values()].flatMap((driver) => driver.underWay);
  }

  /** Called when a driver became ready, failed, changed or went; returns how to stop it. */
  onChange(listener: (driver: FlexVolumeDriver) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    this.#stop.abort(new Error('the FlexVolume registry stops'));
    await Promise.all([...this.#asking.values()].map((asked) => asked.done));
  }

  async #refresh(): Promise<void> {
    try {
      for (const name of await this.#installed()) this.driver(name);
    } catch (err) {
      this.#deps.log.warn({ err, folder: this.#options.folder }, 'FlexVolume folder cannot be read');
    }
    for (const driver of this.#drivers.values()) this.#ask(driver);
  }

  #ask(driver: FlexVolumeDriver): void {
    if (this.#stop.signal.aborted) return;
    const asked = this.#asking.get(driver);
    if (asked !== undefined) {
      asked.again = true;
      return;
    }
    const done = this.#init(driver).finally(() => {
      const again = this.#asking.get(driver)?.again ?? false;
      this.#asking.delete(driver);
      if (again) this.#ask(driver);
    });
    this.#asking.set(driver, { again: false, done });
  }

  /** A driver whose program is still the same is not run again. Never rejects. */
  async #init(driver: FlexVolumeDriver): Promise<void> {
    const { signal } = this.#stop;
    try {
      await this.#limit.run(() => driver.capabilities(signal), signal);
    } catch (err) {
      if (signal.aborted) return;
      // The state of the driver says so too, to the listeners and in the list.
      this.#deps.log.warn({ err, driver: driver.name }, 'FlexVolume driver cannot be used');
    }
  }

  async #installed(): Promise<string[]> {
    try {
      const entries = await readdir(this.#options.folder, { withFileTypes: true });
      return entries.flatMap((entry) => {
        const name = entry.isDirectory() ? driverNameOfFolder(entry.name) : undefined;
        return name === undefined ? [] : [name];
      });
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return [];
      throw err;
    }
  }

  #tell(driver: FlexVolumeDriver): void {
    for (const listener of this.#listeners) listener(driver);
  }
}
