import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { Probe } from '../api/index.js';
import type { Pause } from './pause.js';
import type { ProbeOutcome } from './run-probe.js';

export type ProbeKind = 'startup' | 'liveness' | 'readiness';

export interface ProbeWorkerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** The pauses between ticks. */
  readonly pause: Pause;
  /** 0 to 1; spreads first ticks. */
  random(): number;
  run(kind: ProbeKind, probe: Probe, signal: AbortSignal): Promise<ProbeOutcome>;
  /** False while a startup probe holds the others back. */
  mayRun(kind: ProbeKind): boolean;
  outcome(kind: ProbeKind, outcome: ProbeOutcome): void;
  /** The probe could not be run, for a fault of our own: that says nothing of the container. */
  faulted(kind: ProbeKind, message: string): void;
  /** The threshold was crossed: the probe now says `ok`. */
  settled(kind: ProbeKind, ok: boolean, message: string): void;
}

/** A fault of our own is tried again this often before the tick is dropped (facts 3). */
const ownFaultTries = 3;

/**
 * One probe of one running container: ticks, counts, and speaks only when its word changes. Ends when the container does, or after
 * a liveness or startup failure (nothing more to say until there is a new container).
 */
export async function runProbeWorker(
  kind: ProbeKind,
  probe: Probe,
  startedAt: number,
  initiallyOk: boolean,
  spreadFirstTick: boolean,
  deps: ProbeWorkerDeps,
  signal: AbortSignal,
): Promise<void> {
  const periodMs = Math.max(probe.periodSeconds ?? 10, 1) * 1000;
  const firstAt =
    startedAt + (probe.initialDelaySeconds ?? 0) * 1000 + (spreadFirstTick ? deps.random() * periodMs : 0);
  await deps.clock.sleep(Math.max(firstAt - deps.clock.now(), 0), signal);
  let streak = { ok: initiallyOk, length: 0 };
  // A startup probe has said nothing yet: its failure is news.
  let said = kind === 'startup' ? undefined : initiallyOk;
  while (!signal.aborted) {
    const tickAt = deps.clock.now();
    if (deps.mayRun(kind)) {
      const outcome = await tryProbe(kind, probe, deps, signal);
      if (outcome) {
        const ok = outcome.result !== 'failure';
        streak = ok === streak.ok ? { ok, length: streak.length + 1 } : { ok, length: 1 };
        deps.outcome(kind, outcome);
        const threshold = ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
        if (streak.length >= threshold && said !== ok) {
          said = ok;
          deps.settled(kind, ok, outcome.result === 'success' ? '' : outcome.message);
          if ((kind !== 'readiness' && !ok) || (kind === 'startup' && ok)) return;
        }
      }
    }
    await deps.pause.sleep(Math.max(periodMs - (deps.clock.now() - tickAt), 0), signal);
  }
}

async function tryProbe(
  kind: ProbeKind,
  probe: Probe,
  deps: ProbeWorkerDeps,
  signal: AbortSignal,
): Promise<ProbeOutcome | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await deps.run(kind, probe, signal);
    } catch (err) {
      signal.throwIfAborted();
      deps.log.debug({ probe: kind, err: errorText(err), tries }, 'probe could not be run');
      if (tries < ownFaultTries) continue;
      deps.faulted(kind, errorText(err));
      return undefined;
    }
  }
}
