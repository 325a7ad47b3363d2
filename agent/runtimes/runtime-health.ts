import type { RuntimeService, v1 } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import { linkSignal } from '../../base/signals.js';

export interface RuntimeHealth {
  readonly ready: boolean;
  readonly message: string;
  readonly network: { readonly ready: boolean; readonly message: string };
  /** While the runtime is not ready: since when, how often it was asked since, and when it is asked again; ms. */
  readonly trouble?: { readonly since: number; readonly attempt: number; readonly nextTry: number } | undefined;
  /** It can do `supplementalGroupsPolicy: Strict`; undefined while it has not said. */
  readonly supplementalGroupsPolicy?: boolean | undefined;
}

export interface RuntimeHealthDeps {
  readonly clock: Clock;
  readonly runtime: RuntimeService;
  /** Patience of ordinary calls, ms; never more than 10 s here. */
  readonly requestTimeoutMs?: number | undefined;
  changed(health: RuntimeHealth, before: RuntimeHealth): void;
}

/** How often the runtime is asked; the kubelet's 5 s while something is wrong, rarer while all is well. */
const pollMs = { healthy: 30_000, unhealthy: 1000 };
/** A runtime that says nothing for so long is down, however patient other calls are. */
const answerMs = 10_000;

type Answer = Omit<RuntimeHealth, 'trouble'>;

const notYet = 'the container runtime has not answered yet';

/** Watches the two conditions of the runtime, RuntimeReady and NetworkReady. */
export class RuntimeHealthWatch {
  readonly #deps: RuntimeHealthDeps;
  #health: RuntimeHealth = { ready: false, message: notYet, network: { ready: false, message: notYet } };
  #asking: Promise<void> | undefined;
  #cutPause: () => void = () => {};

  constructor(deps: RuntimeHealthDeps) {
    this.#deps = deps;
  }

  get current(): RuntimeHealth {
    return this.#health;
  }

  /** Asks now; also called when something hints at a change. Calls while it is being asked share the answer. */
  check(signal: AbortSignal): Promise<void> {
    this.#asking ??= this.#check(signal).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** Checks until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.check(signal);
      await this.#pause(signal);
    }
  }

  /** Until it is time to ask again; a change that somebody else's check found starts the wait anew, at its own pace. */
  async #pause(signal: AbortSignal): Promise<void> {
    const { ready, network } = this.#health;
    using pause = linkSignal(signal);
    this.#cutPause = () => pause.abort();
    try {
      await this.#deps.clock.sleep(ready && network.ready ? pollMs.healthy : pollMs.unhealthy, pause.signal);
    } catch (err) {
      signal.throwIfAborted();
      if (!pause.signal.aborted) throw err;
    }
  }

  async #check(signal: AbortSignal): Promise<void> {
    const before = this.#health;
    const answer = await this.#ask(signal);
    this.#health = answer.ready ? answer : { ...answer, trouble: this.#trouble(before) };
    const same =
      before.ready === answer.ready &&
      before.message === answer.message &&
      before.network.ready === answer.network.ready &&
      before.network.message === answer.network.message;
    if (same) return;
    this.#cutPause();
    this.#deps.changed(this.#health, before);
  }

  #trouble({ trouble }: RuntimeHealth): RuntimeHealth['trouble'] {
    const now = this.#deps.clock.now();
    return { since: trouble?.since ?? now, attempt: (trouble?.attempt ?? 0) + 1, nextTry: now + pollMs.unhealthy };
  }

  async #ask(signal: AbortSignal): Promise<Answer> {
    const timeoutMs = Math.min(answerMs, this.#deps.requestTimeoutMs ?? answerMs);
    using limit = linkSignal(signal, { timeoutMs, what: 'the status of the container runtime' });
    try {
      return healthOf(await this.#deps.runtime.status({}, limit.signal));
    } catch (err) {
      signal.throwIfAborted();
      const message = `container runtime is down: ${errorText(err)}`;
      const { supplementalGroupsPolicy } = this.#health;
      const network = { ready: false, message: 'container runtime is down' };
      return { ready: false, message, network, supplementalGroupsPolicy };
    }
  }
}

function healthOf({ status, features }: v1.StatusResponse): Answer {
  const conditions = new Map((status?.conditions ?? []).map((condition) => [condition.type, condition]));
  const [runtime, network] = [conditions.get('RuntimeReady'), conditions.get('NetworkReady')];
  const words = (condition: v1.RuntimeCondition | undefined): string =>
    condition?.status === false ? `${condition.reason}: ${condition.message}` : '';
  return {
    ready: runtime?.status ?? true,
    message: words(runtime),
    network: { ready: network?.status ?? true, message: words(network) },
    supplementalGroupsPolicy: features?.supplementalGroupsPolicy ?? false,
  };
}
