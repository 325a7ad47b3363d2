import { silentLogger } from '../../base/log.js';
import { criError, type CriRuntime, type v1 } from '../../cri/index.js';
import { serveCri, type CriServer } from '../../cri/serve/index.js';

type RuntimeVerb = {
  [K in keyof v1.RuntimeServiceMethods]: v1.RuntimeServiceMethods[K] extends { kind: 'unary' } ? K : never;
}[keyof v1.RuntimeServiceMethods];

export type StruckVerb = Exclude<RuntimeVerb, 'exec' | 'attach' | 'portForward'> | 'pullImage';

/** While the runtime is at it; or when it has done it and before the caller hears so; or then, and the caller never hears anything. */
export type StrikeMoment = 'under way' | 'answer lost' | 'unanswered';

interface Strike {
  readonly moment: StrikeMoment;
  readonly trouble: () => Promise<void>;
}

type Call = (request: never, ...rest: never[]) => Promise<unknown>;

async function untilGivenUp(signal: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    const giveUp = (): void => reject(signal.reason as Error);
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp, { once: true });
  });
}

/** A CRI socket in front of a runtime that lets a test do something in the middle of a call. */
export class InterposedRuntime implements AsyncDisposable {
  readonly #strikes = new Map<string, Strike>();
  readonly #durations = new Map<string, number>();
  /** One trouble at a time. */
  #inTrouble = false;
  /** Until the trouble is over nobody is let through: else a verb might pass before its own trouble can come. */
  #isDown = false;
  #server: CriServer | undefined;

  static async open(runtime: CriRuntime, socketPath: string): Promise<InterposedRuntime> {
    const interposed = new InterposedRuntime();
    const watched: CriRuntime = {
      ...runtime,
      runtime: interposed.#watch(runtime.runtime),
      images: interposed.#watch(runtime.images),
    };
    const { signal } = new AbortController();
    interposed.#server = await serveCri(watched, { socketPath }, { log: silentLogger }, signal);
    return interposed;
  }

  get endpoint(): string {
    return this.#server?.endpoint ?? '';
  }

  /** `trouble` happens at the next call of the verb; one that fails stays for ever in trouble. */
  strike(verb: StruckVerb, moment: StrikeMoment, trouble: () => Promise<void>): void {
    this.#strikes.set(verb, { moment, trouble });
  }

  /** What was struck is over. */
  get calm(): boolean {
    return !this.#inTrouble;
  }

  /** Verbs whose trouble has not come yet. */
  get armed(): string[] {
    return [...this.#strikes.keys()];
  }

  #watch<T extends object>(service: T): T {
    return new Proxy(service, {
      get: (target, name, receiver) => {
        const value: unknown = Reflect.get(target, name, receiver);
        if (typeof value !== 'function' || name === 'containerEvents') return value;
        const call = value.bind(target) as Call;
        return async (...args: Parameters<Call>) => {
          const signal = args.at(-1) as unknown as AbortSignal;
          return await this.#call(String(name), () => call(...args), signal);
        };
      },
    });
  }

  async #call(verb: string, forward: () => Promise<unknown>, signal: AbortSignal): Promise<unknown> {
    if (this.#isDown) throw criError('unavailable', `${verb}: the runtime is not there`);
    const strike = this.#inTrouble ? undefined : this.#strikes.get(verb);
    if (strike === undefined) {
      const before = performance.now();
      const answer = await forward();
      this.#durations.set(verb, performance.now() - before);
      return answer;
    }
    this.#strikes.delete(verb);
    if (strike.moment === 'unanswered') {
      await forward();
      await strike.trouble();
      return await untilGivenUp(signal);
    }
    this.#inTrouble = true;
    const answer = forward();
    answer.catch(() => {});
    if (strike.moment === 'answer lost') await answer;
    // Half of what it took the last time: in the middle.
    else await new Promise((resolve) => setTimeout(resolve, (this.#durations.get(verb) ?? 20) / 2));
    this.#isDown = true;
    strike.trouble().then(
      () => {
        this.#inTrouble = false;
        this.#isDown = false;
      },
      () => {},
    );
    if (strike.moment === 'answer lost') throw criError('unavailable', `${verb}: the answer was lost`);
    return await answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }
}
