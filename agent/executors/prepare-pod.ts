import type { Pod } from '../api/index.js';
import type { ExecutorDeps, Executors } from './executor-deps.js';

export const preparePod = (deps: ExecutorDeps): Executors['prepare-pod'] =>
  async function preparePod(_step, pod, signal) {
    const desired = pod.desired();
    if (!desired) return;
    const running = pod.seen().containers.filter(({ state }) => state === 'running');
    const outcome = await deps.grants.allocate(desired.pod, new Set(running.map(({ name }) => name)), signal);
    if (outcome.kind === 'refused') deps.reject(pod.uid, outcome.reason, outcome.message);
    if (outcome.kind !== 'granted') return;
    deps.folders.prepare(pod.uid);
    pod.memory.sizedFor = (await sizePod(deps, desired.pod, running.length > 0, signal)) ? desired.pod : undefined;
    pod.memory.released = false;
    pod.memory.prepared = true;
  };

/**
 * False where a pod runs with other limits than it is promised now, as after an agent that ended in the middle of a resize: they must be
 * changed together with those of its containers, or what runs could be killed for want of memory.
 */
async function sizePod(deps: ExecutorDeps, pod: Pod, runs: boolean, signal: AbortSignal): Promise<boolean> {
  if (runs && deps.cgroups.exists(pod)) {
    const { first, last } = deps.cgroups.changes(pod);
    if (first.length + last.length > 0) {
      await deps.cgroups.adopt(pod, signal);
      return false;
    }
  }
  await deps.cgroups.ensure(pod, signal);
  return true;
}

/** Runs after everything that could still use what is given back here is gone. */
export const releasePod = (deps: ExecutorDeps): Executors['release-pod'] =>
  async function releasePod(_step, pod, signal) {
    pod.memory.prepared = false;
    await deps.cgroups.remove(pod.uid, signal);
    await deps.grants.release(pod.uid, signal);
    deps.sizes.released(pod.uid);
    deps.folders.remove(pod.uid);
    pod.memory.released = true;
  };
