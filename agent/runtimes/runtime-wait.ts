import { isTerminalPhase, type PodStatus } from '../api/index.js';
import type { CurrentWait } from '../podloop/steps.js';
import type { RuntimeHealth } from './runtime-health.js';

/**
 * What every pod waits for that has not ended while the runtime is away: nothing can be done for it and nothing known of it. Told before what
 * its last pass concluded, which may be long out of date.
 */
export function runtimeWait({ message, trouble }: RuntimeHealth, status: PodStatus | undefined): CurrentWait[] {
  if (trouble === undefined || isTerminalPhase(status?.phase)) return [];
  const { since, attempt, nextTry } = trouble;
  const lastError = { reason: 'ContainerRuntimeNotReady', message };
  return [{ step: 'runtime', object: 'container runtime', since, attempt, lastError, nextTry }];
}
