import type { ObjectReference } from '../api/index.js';

export type EventType = 'Normal' | 'Warning';

/** Where the agent says what happened to an object; never waits and never throws. Reasons are the kubelet's (facts 15). */
export interface EventRecorder {
  record(
    object: ObjectReference,
    type: EventType,
    reason: string,
    message: string,
    annotations?: Readonly<Record<string, string>>,
  ): void;
}
