import type { CriRuntime, ImageService, RuntimeService } from '../../../cri/index.js';
import { isAbortOf } from '../../../base/signals.js';
import type { AgentMetrics } from './agent-metrics.js';

/** The kubelet's word for a verb where it is not the verb in small letters (facts 16: `kubelet_runtime_operations_*`). */
const irregular: Readonly<Record<string, string>> = {
  runPodSandbox: 'run_podsandbox',
  stopPodSandbox: 'stop_podsandbox',
  removePodSandbox: 'remove_podsandbox',
  podSandboxStatus: 'podsandbox_status',
  listPodSandbox: 'list_podsandbox',
  podSandboxStats: 'podsandbox_stats',
  listPodSandboxStats: 'list_podsandbox_stats',
  updatePodSandboxResources: 'update_podsandbox_resources',
  listPodSandboxMetrics: 'list_podsandbox_metrics',
  updateContainerResources: 'update_container',
};

export function operationName(verb: string): string {
  return irregular[verb] ?? verb.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A runtime whose verbs are counted; everything else about it is as it was. */
export function countedRuntime(runtime: CriRuntime, metrics: AgentMetrics): CriRuntime {
  const count = <T extends object>(service: T): T => counted(service, metrics);
  return {
    runtime: count<RuntimeService>(runtime.runtime),
    images: count<ImageService>(runtime.images),
    streaming: runtime.streaming,
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
}

type Verb = (...args: unknown[]) => unknown;

function counted<T extends object>(service: T, metrics: AgentMetrics): T {
  const wrapped = new Map<string, Verb>();
  const wrap = (name: string, verb: Verb): Verb => {
    const operation = operationName(name);
    return (...args) => {
      const started = performance.now();
      const answer = verb.apply(service, args);
      // Streams of events are no calls.
      if (!(answer instanceof Promise)) return answer;
      const signal = args.find((arg) => arg instanceof AbortSignal);
      const done = (failed: boolean): void =>
        metrics.runtimeOperation(operation, (performance.now() - started) / 1000, failed, handlerOf(args[0]));
      answer.then(
        () => done(false),
        (err: unknown) => done(!(signal && isAbortOf(err, signal))),
      );
      return answer;
    };
  };
  return new Proxy(service, {
    get(target, name) {
      const own = Reflect.get(target, name, target) as unknown;
      if (typeof own !== 'function' || typeof name !== 'string') return own;
      const known = wrapped.get(name) ?? wrap(name, own as Verb);
      wrapped.set(name, known);
      return known;
    },
  });
}

/** Of a sandbox: the runtime class it is made with. */
function handlerOf(request: unknown): string {
  const { runtimeHandler } = (request ?? {}) as { readonly runtimeHandler?: unknown };
  return typeof runtimeHandler === 'string' ? runtimeHandler : '';
}
