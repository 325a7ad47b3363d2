import { podReference } from '../events/references.js';
import { errorText } from '../../base/errors.js';
import type { ExecutorDeps, Executors } from './executor-deps.js';

export const mountVolumes = (deps: ExecutorDeps): Executors['mount-volumes'] =>
  async function mountVolumes(_step, pod, signal) {
    const desired = pod.desired();
    if (!desired) return;
    try {
      await deps.volumes.mountPod(desired.pod, signal);
    } catch (err) {
      if (!signal.aborted) deps.events.record(podReference(desired.pod), 'Warning', 'FailedMount', errorText(err));
      throw err;
    }
  };

export const unmountVolumes = (deps: ExecutorDeps): Executors['unmount-volumes'] =>
  async function unmountVolumes(_step, pod, signal) {
    await deps.volumes.unmountPod(pod.uid, signal);
  };
