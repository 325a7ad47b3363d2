import { orAbort } from '../../base/signals.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import type { CriRuntime } from '../contract/runtime.js';

type Verb = (...args: unknown[]) => unknown;

/**
 * A runtime that its first call opens. While that fails (it is not there, or too old), each call fails with the reason and the next one tries
 * again: an agent may start before its runtime, and says what it waits for.
 */
export function openWhenAsked(open: (signal: AbortSignal) => Promise<CriRuntime>): CriRuntime {
  const closing = new AbortController();
  let opening: Promise<CriRuntime> | undefined;
  const opened = (): Promise<CriRuntime> => {
    if (opening !== undefined) return opening;
    const started = open(closing.signal);
    opening = started;
    started.catch(() => (opening = undefined));
    return started;
  };
  const service = <S extends object>(pick: (runtime: CriRuntime) => S): S => {
    const verbs = new Map<string | symbol, Verb>();
    const verb =
      (name: string | symbol): Verb =>
      async (...args) => {
        const signal = args.find((arg) => arg instanceof AbortSignal) ?? closing.signal;
        const found = pick(await orAbort(opened(), signal));
        return (Reflect.get(found, name) as Verb).apply(found, args);
      };
    return new Proxy({} as S, {
      get(_target, name) {
        // Or whoever waits for the service itself would take it for a promise.
        if (name === 'then') return undefined;
        const known = verbs.get(name) ?? verb(name);
        verbs.set(name, known);
        return known;
      },
    });
  };
  async function* containerEvents(signal: AbortSignal): AsyncGenerator<v1.ContainerEventResponse> {
    if (signal.aborted) return;
    yield* (await orAbort(opened(), signal)).runtime.containerEvents(signal);
  }
  const runtime = service(({ runtime: found }) => found);
  return {
    runtime: new Proxy(runtime, {
      get: (target, name) => (name === 'containerEvents' ? containerEvents : (Reflect.get(target, name) as unknown)),
    }),
    images: service(({ images }) => images),
    streaming: service(({ streaming }) => streaming),
    async [Symbol.asyncDispose]() {
      closing.abort(new DOMException('the runtime is closed', 'AbortError'));
      await (await opening?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}
