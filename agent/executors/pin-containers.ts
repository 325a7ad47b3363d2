import { isCriCode } from '../../cri/index.js';
import { cpusToMoveTo } from '../podloop/plan/plan-pins.js';
import type { ExecutorDeps, Executors } from './executor-deps.js';

export const pinContainers = (deps: ExecutorDeps): Executors['pin-containers'] =>
  async function pinContainers(_step, context, signal) {
    const desired = context.desired();
    if (!desired) return;
    const { pinned } = context.memory;
    const { containers } = context.seen();
    const wanted = new Map(containers.map(({ name }) => [name, deps.cpusOf?.(desired.pod, name) ?? '']));
    for (const instance of containers) {
      const cpusetCpus = cpusToMoveTo({ wanted, pinned }, instance);
      if (cpusetCpus === undefined) continue;
      try {
        await deps.runtime.updateContainerResources({ containerId: instance.id, linux: { cpusetCpus } }, signal);
      } catch (err) {
        // It ended meanwhile, and runs nowhere.
        if (!isCriCode(err, 'not-found') && !isCriCode(err, 'failed-precondition')) throw err;
      }
      pinned.set(instance.id, cpusetCpus);
    }
    for (const id of pinned.keys()) if (!containers.some((instance) => instance.id === id)) pinned.delete(id);
  };
