import type { RuntimeService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';

export interface RuntimeHealth {
  readonly ready: boolean;
  readonly message: string;
  readonly network: { readonly ready: boolean; readonly message: string };
}

export interface RuntimeHealthDeps {
  readonly clock: Clock;
  readonly runtime: RuntimeService;
  changed(health: RuntimeHealth, before: RuntimeHealth): void;
}

/** How often the runtime is asked; the kubelet's 5 s while something is wrong, rarer while all is well. */
const pollMs = { healthy: 30_000, unhealthy: 1000 };

const unknown: RuntimeHealth = {
  ready: false,
  message: 'the container runtime has not answered yet',
  network: { ready: false, message: 'the container runtime has not answered yet' },
};

/** Watches the two conditions of the runtime, RuntimeReady and NetworkReady. */
export class RuntimeHealthWatch {
  readonly #deps: RuntimeHealthDeps;
  #health = unknown;

  constructor(deps: RuntimeHealthDeps) {
    this.#deps = deps;
  }

  get current(): RuntimeHealth {
    return this.#health;
  }

  /** Asks now; also called when something hints at a change. */
  async check(signal: AbortSignal): Promise<void> {
    const before = this.#health;
    this.#health = await this.#ask(signal);
    const same =
      before.ready === this.#health.ready &&
      before.message === this.#health.message &&
      before.network.ready === this.#health.network.ready &&
      before.network.message === this.#health.network.message;
    if (!same) this.#deps.changed(this.#health, before);
  }

  /** Checks until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.check(signal);
      const { ready, network } = this.#health;
      await this.#deps.clock.sleep(ready && network.ready ? pollMs.healthy : pollMs.unhealthy, signal);
    }
  }

  async #ask(signal: AbortSignal): Promise<RuntimeHealth> {
    try {
      const { status } = await this.#deps.runtime.status({}, signal);
      const conditions = new Map((status?.conditions ?? []).map((condition) => [condition.type, condition]));
      const runtime = conditions.get('RuntimeReady');
      const network = conditions.get('NetworkReady');
      return {
        ready: runtime?.status ?? true,
        message: runtime?.status === false ? `${runtime.reason}: ${runtime.message}` : '',
        network: {
          ready: network?.status ?? true,
          message: network?.status === false ? `${network.reason}: ${network.message}` : '',
        },
      };
    } catch (err) {
      signal.throwIfAborted();
      const message = `container runtime is down: ${errorText(err)}`;
      return { ready: false, message, network: { ready: false, message } };
    }
  }
}
