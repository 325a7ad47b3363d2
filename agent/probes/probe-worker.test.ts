import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import type { Probe } from '../api/index.js';
import { Pause } from './pause.js';
import { runProbeWorker, type ProbeKind } from './probe-worker.js';
import type { ProbeOutcome } from './run-probe.js';

const passed: ProbeOutcome = { result: 'success' };
const failed: ProbeOutcome = { result: 'failure', message: 'no' };

/** Runs a worker over these outcomes, one a tick, and tells what it said until they are used up. */
async function said(
  kind: ProbeKind,
  initiallyOk: boolean,
  probe: Probe,
  outcomes: readonly ProbeOutcome[],
): Promise<boolean[]> {
  const words: boolean[] = [];
  const stop = new AbortController();
  const left = [...outcomes];
  const clock = { now: () => 0, sleep: () => Promise.resolve() };
  const worker = runProbeWorker(
    kind,
    probe,
    0,
    initiallyOk,
    false,
    {
      clock,
      log: silentLogger,
      pause: new Pause(clock),
      random: () => 0,
      mayRun: () => true,
      run: async () => {
        const next = left.shift();
        if (next) return next;
        stop.abort();
        throw stop.signal.reason;
      },
      outcome: () => {},
      faulted: () => {},
      settled: (_kind, ok) => words.push(ok),
    },
    stop.signal,
  );
  await worker.catch(() => {});
  return words;
}

test.each<[string, ProbeKind, boolean, Probe, ProbeOutcome[], boolean[]]>([
  ['a startup probe that never passes gives up', 'startup', false, { failureThreshold: 2 }, [failed, failed], [false]],
  ['a startup probe passes once', 'startup', false, { failureThreshold: 3 }, [failed, failed, passed, failed], [true]],
  [
    'an unready container that stays so says nothing',
    'readiness',
    false,
    { failureThreshold: 1 },
    [failed, failed],
    [],
  ],
  [
    'readiness comes and goes',
    'readiness',
    false,
    { failureThreshold: 2 },
    [passed, failed, passed, failed, failed],
    [true, false],
  ],
  [
    'readiness needs its successes in a row',
    'readiness',
    false,
    { successThreshold: 2 },
    [passed, failed, passed, passed],
    [true],
  ],
  [
    'liveness speaks only of a failure, and then no more',
    'liveness',
    true,
    { failureThreshold: 2 },
    [passed, failed, failed, passed],
    [false],
  ],
])('%s', async (_what, kind, initiallyOk, probe, outcomes, words) => {
  expect(await said(kind, initiallyOk, { periodSeconds: 1, ...probe }, outcomes)).toEqual(words);
});

test('a pause can be cut short, before it and in the middle of it', async ({ signal }) => {
  const pause = new Pause(systemClock);
  pause.cut();
  await pause.sleep(60_000, signal);
  const sleeping = pause.sleep(60_000, signal);
  pause.cut();
  await sleeping;
});

test('a pause ends with its signal', async () => {
  const stop = new AbortController();
  const sleeping = new Pause(systemClock).sleep(60_000, stop.signal);
  stop.abort(new Error('enough'));
  await expect(sleeping).rejects.toThrow('enough');
});
