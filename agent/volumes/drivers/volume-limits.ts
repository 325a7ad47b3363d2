import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import { runEvery } from '../../../base/run-every.js';
import type { CsiDriverInfo } from '../../../csi/index.js';
import type { ControlPlane } from '../../controlplane/control-plane.js';

export interface VolumeLimitsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly controlPlane: Pick<ControlPlane, 'get' | 'watch'>;
  /** Asks the driver again how many volumes fit. */
  refresh(driver: string, signal: AbortSignal): Promise<CsiDriverInfo>;
  /** Writes what it said. */
  announce(driver: CsiDriverInfo, signal: AbortSignal): Promise<void>;
}

interface Followed {
  readonly stop: AbortController;
  readonly watch: Disposable;
  periodMs: number;
  loop: AbortController | undefined;
}

const stopped = (): DOMException => new DOMException('not asked any more', 'AbortError');

/**
 * Keeps the number of volumes a driver can attach here up to date, for drivers whose CSIDriver object asks for it
 * (`nodeAllocatableUpdatePeriodSeconds`).
 */
export class VolumeLimits implements Disposable {
  readonly #deps: VolumeLimitsDeps;
  readonly #followed = new Map<string, Followed>();

  constructor(deps: VolumeLimitsDeps) {
    this.#deps = deps;
  }

  /** To be told of every change of a driver. */
  driverChanged({ name, state }: Pick<CsiDriverInfo, 'name' | 'state'>): void {
    const known = this.#followed.get(name);
    if (state.kind === 'ready' && !known) this.#follow(name);
    if (state.kind === 'gone' && known) this.#leave(name, known);
  }

  /** A volume did not fit: what the driver said of its limit is old. For those that may be asked again. */
  async askNow(name: string): Promise<void> {
    const followed = this.#followed.get(name);
    if (!followed || followed.periodMs === 0) return;
    const { signal } = followed.stop;
    try {
      await this.#ask(name, signal);
    } catch (err) {
      if (!signal.aborted)
        this.#deps.log.warn({ driver: name, err: errorText(err) }, 'volume limit of CSI driver cannot be asked for');
    }
  }

  [Symbol.dispose](): void {
    for (const [name, followed] of this.#followed) this.#leave(name, followed);
  }

  #follow(name: string): void {
    const stop = new AbortController();
    const look = (): void => {
      this.#look(name, stop.signal).catch((err: unknown) => {
        if (!stop.signal.aborted)
          this.#deps.log.warn({ driver: name, err: errorText(err) }, 'CSIDriver cannot be read');
      });
    };
    const watch = this.#deps.controlPlane.watch('CSIDriver', '', name, look);
    this.#followed.set(name, { stop, watch, periodMs: 0, loop: undefined });
    look();
  }

  #leave(name: string, { stop, watch, loop }: Followed): void {
    this.#followed.delete(name);
    watch[Symbol.dispose]();
    loop?.abort(stopped());
    stop.abort(stopped());
  }

  async #look(name: string, signal: AbortSignal): Promise<void> {
    const object = await this.#deps.controlPlane.get('CSIDriver', '', name, signal);
    const periodMs = (object?.spec.nodeAllocatableUpdatePeriodSeconds ?? 0) * 1000;
    const followed = this.#followed.get(name);
    if (!followed || followed.periodMs === periodMs) return;
    followed.periodMs = periodMs;
    followed.loop?.abort(stopped());
    followed.loop = undefined;
    if (periodMs === 0) return;
    const loop = new AbortController();
    followed.loop = loop;
    const what = `volume limit of CSI driver ${name}`;
    void runEvery({ what, everyMs: periodMs }, (asked) => this.#ask(name, asked), this.#deps, loop.signal);
  }

  async #ask(name: string, signal: AbortSignal): Promise<void> {
    await this.#deps.announce(await this.#deps.refresh(name, signal), signal);
  }
}
