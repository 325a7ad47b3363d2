import type { PluginCall } from '../../../base/call-recorder.js';
import type { Pod } from '../../api/index.js';
import type { DeviceCounts } from '../../devices/index.js';
import { noWork, type WorkCounts } from './work-metrics.js';
import type { Accumulator } from './accumulators.js';

/** What parts of the agent count. Never waits and never throws; cheap enough for every call. */
export interface AgentMetrics extends DeviceCounts {
  /** One CRI verb, in the kubelet's word for it (`run_podsandbox`). */
  runtimeOperation(operation: string, seconds: number, failed: boolean, runtimeHandler?: string): void;
  probe(
    kind: 'startup' | 'readiness' | 'liveness',
    result: 'success' | 'warning' | 'failure',
    pod: Pod,
    container: string,
    seconds: number,
  ): void;
  /** One call of a plugin that ended; `code` is how it failed. */
  pluginCall(call: PluginCall, seconds: number, code: string | undefined): void;
  /** One deed of the volume manager, in the kubelet's word for it (`volume_mount`). */
  storageOperation(operation: string, plugin: string, seconds: number, failed: boolean): void;
  readonly work: WorkCounts;
  /** `statsAgeSeconds`: how old what was measured is when the pod is told to go. */
  evicted(signal: string, statsAgeSeconds: number): void;
  /** What others count themselves. */
  add(counts: readonly Accumulator[]): void;
}

const nothing = (): void => {};

export const noMetrics: AgentMetrics = {
  runtimeOperation: nothing,
  probe: nothing,
  pluginCall: nothing,
  claimsHandled: nothing,
  podResourcesRequest: nothing,
  storageOperation: nothing,
  work: noWork,
  evicted: nothing,
  gauge: nothing,
  add: nothing,
};
