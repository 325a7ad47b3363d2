import { statSync } from 'node:fs';
import type { CallRecorder, CallSubject } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errnoOf } from '../../base/errors.js';
import { FifoLimit } from '../../base/fifo-limit.js';
import type { ProgramResult, RunProgram } from '../../base/run-program.js';
import { CallsUnderWay, givenUp, type DriverCall } from '../wire/calls-under-way.js';
import { secretMask } from '../wire/secret-mask.js';
import { defaultCapabilities, type DriverAnswer, type FlexVolumeCapabilities } from './driver-answer.js';
import { FlexVolumeError, flexVolumeError, type FlexVolumeFailure, type FlexVolumeVerb } from './failure.js';
import { judge } from './judge-call.js';
import { optionsJson, type FlexVolumeMountOptions, type FlexVolumeOptions } from './volume-options.js';

export interface FlexVolumeDriverOptions {
  /** `vendor/driver` or `driver`. */
  readonly name: string;
  readonly program: string;
  /** The driver's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** How long each verb may take; see `defaultTimeouts`. */
  readonly timeouts?: Readonly<Partial<Record<FlexVolumeVerb, number>>> | undefined;
  readonly maxOutputBytes?: number | undefined;
}

export interface FlexVolumeDriverDeps {
  readonly runProgram: RunProgram;
  readonly recorder: CallRecorder;
  readonly clock: Clock;
  /** Called after each change of `status`. */
  readonly onChange?: ((driver: FlexVolumeDriver) => void) | undefined;
}

export type FlexVolumeDriverState =
  /** Not asked yet, or its program changed since. */
  | { readonly kind: 'new' }
  | { readonly kind: 'ready'; readonly capabilities: FlexVolumeCapabilities }
  | { readonly kind: 'failed'; readonly code: FlexVolumeFailure['code']; readonly reason: string }
  | { readonly kind: 'missing'; readonly reason: string };

/** For `berth plugins`. */
export interface FlexVolumeDriverStatus {
  readonly name: string;
  readonly program: string;
  readonly state: FlexVolumeDriverState;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly notSupported: readonly FlexVolumeVerb[];
}

/** The kubelet has no limits but waitforattach's; ours are long enough for mkfs on a large disk. */
const defaultTimeouts: { readonly [V in FlexVolumeVerb]: number } = {
  init: 30_000,
  getvolumename: 60_000,
  isattached: 60_000,
  attach: 600_000,
  waitforattach: 600_000,
  detach: 600_000,
  mountdevice: 600_000,
  unmountdevice: 120_000,
  mount: 300_000,
  unmount: 120_000,
  expandvolume: 600_000,
  expandfs: 600_000,
};

/** The agent is root, who may execute what anybody may. */
const anyMayExecute = 0o111n;

/** A program that is being written cannot be started yet; how often to try before it counts. */
const busyTries = 20;
const busyWaitMs = 50;

/** For the verbs whose default needs mounts: the caller does what the kubelet does then. */
export type Supported = 'done' | 'not-supported';

/**
 * One FlexVolume driver. Its program is looked at before each call: a new one is asked `init` again, and what the old one
 * did not support is forgotten. Every verb rejects with `FlexVolumeError` or the signal's reason; all may be repeated.
 */
export class FlexVolumeDriver {
  readonly name: string;
  readonly #options: FlexVolumeDriverOptions;
  readonly #deps: FlexVolumeDriverDeps;
  readonly #calls: CallsUnderWay;
  readonly #initLock = new FifoLimit(1);
  readonly #notSupported = new Set<FlexVolumeVerb>();
  #identity: string | undefined;
  #state: FlexVolumeDriverState = { kind: 'new' };
  #since: number;

  constructor(options: FlexVolumeDriverOptions, deps: FlexVolumeDriverDeps) {
    this.name = options.name;
    this.#options = options;
    this.#deps = deps;
    this.#calls = new CallsUnderWay(deps.recorder, deps.clock);
    this.#since = deps.clock.now();
  }

  /** What its program was started for and has not answered yet, with what it printed on standard error so far. */
  get underWay(): readonly DriverCall[] {
    return this.#calls.list();
  }

  get status(): FlexVolumeDriverStatus {
    return {
      name: this.name,
      program: this.#options.program,
      state: this.#state,
      since: this.#since,
      notSupported: [...this.#notSupported],
    };
  }

  /** What the driver can do; asks it once for each version of its program. */
  async capabilities(signal: AbortSignal): Promise<FlexVolumeCapabilities> {
    await this.#prepare('init', signal);
    return this.#state.kind === 'ready' ? this.#state.capabilities : defaultCapabilities;
  }

  /** The name the driver would give the volume; the kubelet asks, and uses the PV's or volume's name all the same. */
  async getVolumeName(volume: FlexVolumeOptions, subject: CallSubject, signal: AbortSignal): Promise<string> {
    const answer = await this.#callOrDefault('getvolumename', [volume], subject, signal);
    return answer?.volumeName === undefined || answer.volumeName === '' ? volume.volumeName : answer.volumeName;
  }

  /** Makes the volume a device of this node; an empty device when the driver has no attach. */
  async attach(
    volume: FlexVolumeOptions,
    nodeName: string,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<{ readonly device: string }> {
    const answer = await this.#callOrDefault('attach', [volume, nodeName], subject, signal);
    return { device: answer?.device ?? '' };
  }

  /** Waits until the device is there; `device` is what `attach` returned. */
  async waitForAttach(
    device: string,
    volume: FlexVolumeOptions,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<{ readonly device: string }> {
    const answer = await this.#callOrDefault('waitforattach', [device, volume], subject, signal);
    return { device: answer === undefined ? device : answer.device };
  }

  /** Undefined when the driver cannot tell. */
  async isAttached(
    volume: FlexVolumeOptions,
    nodeName: string,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<boolean | undefined> {
    return (await this.#callOrDefault('isattached', [volume, nodeName], subject, signal))?.attached;
  }

  async detach(volumeName: string, nodeName: string, subject: CallSubject, signal: AbortSignal): Promise<void> {
    await this.#callOrDefault('detach', [volumeName, nodeName], subject, signal);
  }

  /** Not supported: format and mount the device there, or do nothing when there is no device. */
  async mountDevice(
    deviceMountPath: string,
    device: string,
    volume: FlexVolumeOptions,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<Supported> {
    return supported(await this.#callOrDefault('mountdevice', [deviceMountPath, device, volume], subject, signal));
  }

  /** Not supported: unmount the path. */
  async unmountDevice(deviceMountPath: string, subject: CallSubject, signal: AbortSignal): Promise<Supported> {
    return supported(await this.#callOrDefault('unmountdevice', [deviceMountPath], subject, signal));
  }

  /** Not supported: bind-mount the device mount path. */
  async mount(
    path: string,
    volume: FlexVolumeMountOptions,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<Supported> {
    return supported(await this.#callOrDefault('mount', [path, volume], subject, signal));
  }

  /** Not supported: unmount the path. */
  async unmount(path: string, subject: CallSubject, signal: AbortSignal): Promise<Supported> {
    return supported(await this.#callOrDefault('unmount', [path], subject, signal));
  }

  /** Makes the volume larger where it lives; the size it has then. */
  async expandVolume(
    volume: FlexVolumeOptions,
    deviceMountPath: string,
    newBytes: number,
    oldBytes: number,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number }> {
    const args = [volume, deviceMountPath, String(newBytes), String(oldBytes)];
    const answer = await this.#callOrDefault('expandvolume', args, subject, signal);
    return { bytes: answer === undefined || answer.volumeNewSize === 0 ? newBytes : answer.volumeNewSize };
  }

  /** Not supported: resize the file system by its own tool. */
  async expandFs(
    volume: FlexVolumeOptions,
    device: string,
    deviceMountPath: string,
    newBytes: number,
    oldBytes: number,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<Supported> {
    const args = [volume, device, deviceMountPath, String(newBytes), String(oldBytes)];
    return supported(await this.#callOrDefault('expandfs', args, subject, signal));
  }

  /** Undefined when the driver does not support the verb; once it said so it is not asked again. */
  async #callOrDefault(
    verb: FlexVolumeVerb,
    args: readonly Argument[],
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<DriverAnswer | undefined> {
    await this.#prepare(verb, signal);
    if (this.#notSupported.has(verb)) return undefined;
    const identity = this.#identity;
    try {
      return await this.#call(verb, args, subject, signal);
    } catch (err) {
      if (!(err instanceof FlexVolumeError) || err.failure.code !== 'not-supported') throw err;
      if (identity === this.#identity) this.#notSupported.add(verb);
      return undefined;
    }
  }

  /** Runs `init` when the program is new. One caller does, the others wait for it. */
  async #prepare(verb: FlexVolumeVerb, signal: AbortSignal): Promise<void> {
    if (this.#look(verb) && this.#state.kind === 'ready') return;
    await this.#initLock.run(async () => {
      if (this.#look(verb) && this.#state.kind === 'ready') return;
      const identity = this.#identity;
      try {
        const answer = await this.#call('init', [], {}, signal);
        if (identity === this.#identity) this.#enter({ kind: 'ready', capabilities: answer.capabilities });
      } catch (err) {
        if (err instanceof FlexVolumeError && identity === this.#identity) {
          this.#enter({ kind: 'failed', code: err.failure.code, reason: err.message });
        }
        throw err;
      }
    }, signal);
  }

  /**
   * Compares the program on disk with the one that was asked; true when it is the same. Throws when there is none. Not through the thread
   * pool: the kernel answers from memory, and a mount looks three times.
   */
  #look(verb: FlexVolumeVerb): boolean {
    const { program } = this.#options;
    let identity: string;
    try {
      const found = statSync(program, { bigint: true });
      if (!found.isFile()) throw new Error(`${program} is not a file`);
      if ((found.mode & anyMayExecute) === 0n) throw new Error(`${program} is not executable`);
      identity = `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
    } catch (err) {
      const reason = missingReason(program, err);
      this.#forget(undefined);
      if (this.#state.kind !== 'missing' || this.#state.reason !== reason) this.#enter({ kind: 'missing', reason });
      throw flexVolumeError(this.name, verb, { code: 'not-installed' }, reason);
    }
    if (identity === this.#identity) return true;
    this.#forget(identity);
    this.#enter({ kind: 'new' });
    return false;
  }

  #forget(identity: string | undefined): void {
    this.#identity = identity;
    this.#notSupported.clear();
  }

  #enter(state: FlexVolumeDriverState): void {
    this.#state = state;
    this.#since = this.#deps.clock.now();
    this.#deps.onChange?.(this);
  }

  async #call(
    verb: FlexVolumeVerb,
    args: readonly Argument[],
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<DriverAnswer> {
    const volume = args.find((arg) => typeof arg === 'object');
    const mask = secretMask(volume !== undefined && 'secrets' in volume ? volume.secrets : undefined);
    const words = args.map((arg) => (typeof arg === 'string' ? arg : optionsJson(arg)));
    const request = { args: words.map(mask) };
    const call = this.#calls.open({ interface: 'flexvolume', plugin: this.name, verb, subject, request }, mask);
    try {
      const answer = judge(this.name, verb, await this.#run(verb, words, call.say, signal), mask);
      call.end({ response: answer });
      return answer;
    } catch (err) {
      if (err instanceof FlexVolumeError) call.end({ error: { code: err.failure.code, message: err.message } });
      else call.end({ error: givenUp });
      throw err;
    }
  }

  async #run(
    verb: FlexVolumeVerb,
    words: readonly string[],
    onStderr: (text: string) => void,
    signal: AbortSignal,
  ): Promise<ProgramResult> {
    const { program, env, timeouts, maxOutputBytes = 1024 * 1024 } = this.#options;
    const timeoutMs = timeouts?.[verb] ?? defaultTimeouts[verb];
    for (let attempt = 1; ; attempt++) {
      const result = await this.#deps.runProgram(
        { argv: [program, verb, ...words], env, timeoutMs, maxOutputBytes, onStderr },
        signal,
      );
      const busy = result.end.kind === 'not-started' && result.end.errno === 'ETXTBSY';
      if (!busy || attempt === busyTries) return result;
      await this.#deps.clock.sleep(busyWaitMs, signal);
    }
  }
}

/** A volume becomes its option JSON; strings go as they are. */
type Argument = string | FlexVolumeOptions | FlexVolumeMountOptions;

function supported(answer: DriverAnswer | undefined): Supported {
  return answer === undefined ? 'not-supported' : 'done';
}

function missingReason(program: string, err: unknown): string {
  const errno = errnoOf(err);
  if (errno === 'ENOENT' || errno === 'ENOTDIR') return `${program} does not exist`;
  return err instanceof Error ? err.message : String(err);
}
