import type { ExecutorDeps, Executors } from './executor-deps.js';

export const preparePod = (deps: ExecutorDeps): Executors['prepare-pod'] =>
  async function preparePod(_step, pod, signal) {
    const desired = pod.desired();
    if (!desired) return;
    const running = pod.seen().containers.filter(({ state }) => state === 'running');
    const outcome = await deps.grants.allocate(desired.pod, new Set(running.map(({ name }) => name)), signal);
    if (outcome.kind === 'refused') deps.reject(pod.uid, outcome.reason, outcome.message);
    if (outcome.kind !== 'granted') return;
    await deps.folders.prepare(pod.uid);
    await deps.cgroups.ensure(desired.pod, signal);
    pod.memory.released = false;
    pod.memory.prepared = true;
  };

/** Runs after everything that could still use what is given back here is gone. */
export const releasePod = (deps: ExecutorDeps): Executors['release-pod'] =>
  async function releasePod(_step, pod, signal) {
    pod.memory.prepared = false;
    await deps.cgroups.remove(pod.uid, signal);
    await deps.grants.release(pod.uid, signal);
    await deps.folders.remove(pod.uid);
    pod.memory.released = true;
  };
