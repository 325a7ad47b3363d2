import type { CallOutcome, PluginCall } from '../../base/call-recorder.js';

/** One call that left the process, as `berth trace` shows it. */
export interface RecordedCall {
  readonly id: number;
  readonly call: PluginCall;
  /** ms since the epoch. */
  readonly startedAt: number;
  /** Undefined while it has not ended. */
  readonly durationMs: number | undefined;
  readonly outcome: CallOutcome | undefined;
  /** Of a run of the agent before this one, which counted for itself. */
  readonly earlier?: true | undefined;
}
