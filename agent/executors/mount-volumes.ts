import { podReference } from '../events/references.js';
import { errorText } from '../../base/errors.js';
import { VolumeError } from '../volumes/index.js';
import type { ExecutorDeps, Executors } from './executor-deps.js';

export const mountVolumes = (deps: ExecutorDeps): Executors['mount-volumes'] =>
  async function mountVolumes(_step, pod, signal) {
    const desired = pod.desired();
    if (!desired) return;
    try {
      await deps.volumes.mountPod(desired.pod, signal);
    } catch (err) {
      const failure = err instanceof VolumeError ? err.failure : undefined;
      const reason = err instanceof VolumeError ? err.reason : 'FailedMount';
      if (failure?.code === 'no-room')
        deps.reject(
          pod.uid,
          'VolumeAttachmentLimitExceeded',
          `Node has reached its volume attachment limit, rejecting pod. ${errorText(err)}`,
        );
      // What only takes its time is no failure: the status of the pod says what it waits for.
      if (!signal.aborted && failure?.code !== 'under-way')
        deps.events.record(podReference(desired.pod), 'Warning', reason, errorText(err));
      throw err;
    }
  };

export const unmountVolumes = (deps: ExecutorDeps): Executors['unmount-volumes'] =>
  async function unmountVolumes(_step, pod, signal) {
    await deps.volumes.unmountPod(pod.uid, signal);
  };
