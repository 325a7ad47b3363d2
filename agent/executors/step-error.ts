import { BerthError, errorText } from '../../base/errors.js';
import { unreachable } from '../../base/errors.js';
import type { FailureWords } from '../podloop/operations.js';
import type { Step } from '../podloop/steps.js';

/** A step failed with a reason that pod statuses and events know (`CreateContainerConfigError`, `ErrImagePull`, ...). */
export class StepError extends BerthError<{ code: 'step-failed'; reason: string }> {
  constructor(reason: string, message: string, cause?: unknown) {
    super(message, { code: 'step-failed', reason }, cause === undefined ? undefined : { cause });
  }
}

/** Reason and message of a failed step for the pod's status; a `StepError` brings its own, the rest go by the step. */
export function describeFailure(step: Step, err: unknown): FailureWords {
  if (err instanceof StepError) return { reason: err.failure.reason, message: errorText(err) };
  return { reason: reasonOf(step), message: errorText(err) };
}

function reasonOf(step: Step): string {
  switch (step.kind) {
    case 'prepare-pod':
      return 'FailedCreatePodContainer';
    case 'mount-volumes':
      return 'FailedMount';
    case 'create-sandbox':
      return 'FailedCreatePodSandBox';
    case 'ensure-image':
      return 'ErrImagePull';
    case 'start-container':
      return 'RunContainerError';
    case 'resize-pod':
      return 'ResizeError';
    case 'pin-containers':
      return 'FailedUpdateContainerResources';
    case 'pre-stop':
    case 'kill-container':
    case 'stop-sandbox':
    case 'remove-container':
    case 'remove-sandbox':
    case 'release-pod':
      return 'FailedKillPod';
    case 'unmount-volumes':
      return 'FailedUnMount';
    default:
      return unreachable(step);
  }
}
