import type { Step } from '../podloop/steps.js';
import { createSandbox } from './create-sandbox.js';
import { ensureImage } from './ensure-image.js';
import type { ExecutorDeps, Executors, PodContext } from './executor-deps.js';
import { killContainer } from './kill-container.js';
import { preStopHook } from './pre-stop.js';
import { mountVolumes, unmountVolumes } from './mount-volumes.js';
import { pinContainers } from './pin-containers.js';
import { preparePod, releasePod } from './prepare-pod.js';
import { removeContainer, removeSandbox, stopSandbox } from './remove-parts.js';
import { resizePod } from './resize-pod.js';
import { startContainer } from './start-container.js';

export type { ExecutorDeps, Executors, PodContext } from './executor-deps.js';
export { describeFailure, StepError } from './step-error.js';

export function makeExecutors(deps: ExecutorDeps): Executors {
  return {
    'prepare-pod': preparePod(deps),
    'mount-volumes': mountVolumes(deps),
    'create-sandbox': createSandbox(deps),
    'ensure-image': ensureImage(deps),
    'start-container': startContainer(deps),
    'pre-stop': preStopHook(deps),
    'kill-container': killContainer(deps),
    'resize-pod': resizePod(deps),
    'pin-containers': pinContainers(deps),
    'stop-sandbox': stopSandbox(deps),
    'remove-container': removeContainer(deps),
    'remove-sandbox': removeSandbox(deps),
    'unmount-volumes': unmountVolumes(deps),
    'release-pod': releasePod(deps),
  };
}

/** Runs one step with its own executor. */
export function executeStep(executors: Executors, step: Step, pod: PodContext, signal: AbortSignal): Promise<void> {
  const run = executors[step.kind] as (step: Step, pod: PodContext, signal: AbortSignal) => Promise<void>;
  return run(step, pod, signal);
}
