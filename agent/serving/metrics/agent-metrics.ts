import type { Pod } from '../../api/index.js';

/** What parts of the agent count. Never waits and never throws; cheap enough for every call. */
export interface AgentMetrics {
  /** One CRI verb, in the kubelet's word for it (`run_podsandbox`). */
  runtimeOperation(operation: string, seconds: number, failed: boolean): void;
  probe(
    kind: 'startup' | 'readiness' | 'liveness',
    result: 'success' | 'warning' | 'failure',
    pod: Pod,
    container: string,
    seconds: number,
  ): void;
}

export const noMetrics: AgentMetrics = { runtimeOperation: () => {}, probe: () => {} };
