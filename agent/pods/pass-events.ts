import { findContainer, podFullName, type Pod } from '../api/index.js';
import type { EventRecorder, EventType } from '../events/event-recorder.js';
import { containerReference, podReference } from '../events/references.js';
import type { PassResult } from '../podloop/pod-loop.js';
import type { CurrentWait } from '../podloop/steps.js';
import { resizeEvents } from '../resources/resize/resize-events.js';

export interface PassEvent {
  /** Absent for an event of the pod as a whole. */
  readonly container?: string | undefined;
  readonly type: EventType;
  readonly reason: string;
  readonly message: string;
}

/** What a pass found that its steps do not tell themselves (facts 15). Each wait is told once, and again with its next try. */
export function passEvents(before: PassResult | undefined, after: PassResult): readonly PassEvent[] {
  const pod = after.desired?.pod;
  if (!pod) return [];
  const told = new Set((before?.plan.waits ?? []).map(waitKey));
  const events = after.plan.waits.filter((wait) => !told.has(waitKey(wait))).flatMap((wait) => waitEvent(pod, wait));
  if (after.plan.steps.some((step) => step.kind === 'create-sandbox' && step.attempt > 0)) {
    const message = 'Pod sandbox changed, it will be killed and re-created.';
    events.push({ type: 'Normal', reason: 'SandboxChanged', message });
  }
  events.push(...resizeEvents(before?.status ?? after.desired?.previousStatus, after.status, pod));
  const { reason, message = '' } = after.status ?? {};
  if (reason === 'DeadlineExceeded' && before?.status?.reason !== reason)
    events.push({ type: 'Normal', reason, message });
  return events;
}

export function recordPassEvents(recorder: EventRecorder, before: PassResult | undefined, after: PassResult): void {
  for (const { container, type, reason, message } of passEvents(before, after)) {
    const pod = after.desired?.pod ?? {};
    const found = container === undefined ? undefined : findContainer(pod, container);
    recorder.record(found ? containerReference(pod, found) : podReference(pod), type, reason, message);
  }
}

const waitKey = ({ step, object, nextTry, lastError }: CurrentWait): string =>
  JSON.stringify([step, object, nextTry, lastError?.message]);

function waitEvent(pod: Pod, { step, object, container, lastError, nextTry }: CurrentWait): PassEvent[] {
  switch (step) {
    case 'restart-back-off': {
      const who = `${podFullName(pod)}(${pod.metadata?.uid ?? ''})`;
      const message = `Back-off restarting failed container ${container} in pod ${who}`;
      return [{ container, type: 'Warning', reason: 'BackOff', message }];
    }
    case 'ensure-image': {
      if (!lastError || nextTry === undefined || !pullReasons.has(lastError.reason)) return [];
      const image = object.replace(/^image /, '');
      // Why is in the event of the try that failed, and in the status.
      const message = `Back-off pulling image "${image}"`;
      return [
        { container, type: 'Normal', reason: 'BackOff', message },
        { container, type: 'Warning', reason: 'Failed', message: 'Error: ImagePullBackOff' },
      ];
    }
    case 'devices':
      return lastError ? [{ type: 'Warning', reason: lastError.reason, message: lastError.message }] : [];
    case 'network':
      return lastError ? [{ type: 'Warning', reason: 'NetworkNotReady', message: lastError.message }] : [];
    case 'prepare-pod':
    case 'kill-container':
    case 'stop-sandbox':
    case 'remove-container':
    case 'remove-sandbox':
    case 'release-pod':
      if (!lastError || nextTry === undefined) return [];
      return [{ type: 'Warning', reason: lastError.reason, message: `${object}: ${lastError.message}` }];
    default:
      return [];
  }
}

/** Failures of the pull itself; the others are told by the step. */
const pullReasons = new Set(['ErrImagePull', 'RegistryUnavailable', 'SignatureValidationFailed']);
