import { isTerminalPhase, type PodStatus } from '../api/index.js';
import type { CurrentWait } from '../podloop/steps.js';
import type { RuntimeHealth } from './runtime-health.js';

/**
 * What every pod waits for that has not ended while the runtime is away, and after that until it has been looked at (`doubtedSince`, ms):
 * nothing can be done for it and nothing known of it. Told before what its last pass concluded, which may be long out of date.
 */
export function runtimeWait(
  { message, trouble }: RuntimeHealth,
  status: PodStatus | undefined,
  doubtedSince: number | undefined,
): CurrentWait[] {
  if (isTerminalPhase(status?.phase)) return [];
  const wait = { step: 'runtime', object: 'container runtime' } as const;
  if (trouble) {
    const { since, attempt, nextTry } = trouble;
    return [{ ...wait, since, attempt, lastError: { reason: 'ContainerRuntimeNotReady', message }, nextTry }];
  }
  if (doubtedSince === undefined) return [];
  const said = 'the container runtime is back; this pod has not been looked at since it was away';
  return [
    { ...wait, since: doubtedSince, attempt: 1, lastError: { reason: 'ContainerRuntimeNotReady', message: said } },
  ];
}
