import type { CallRecorder } from '../../../base/call-recorder.js';
import type { AgentMetrics } from './agent-metrics.js';

/** Counts what passes through the recorder; everything is recorded as before. */
export function countedCalls(recorder: CallRecorder, metrics: AgentMetrics): CallRecorder {
  return {
    begin(call) {
      const started = performance.now();
      const end = recorder.begin(call);
      return (outcome) => {
        end(outcome);
        const seconds = (performance.now() - started) / 1000;
        metrics.pluginCall(call, seconds, outcome.error?.code);
      };
    },
  };
}
