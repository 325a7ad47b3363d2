import { describe, expect, test } from 'vitest';
import { nextTryAfter, restartTiming } from './backoff.js';
import { formatGoDuration } from './go-duration.js';
import type { RestartBackoff, Step } from './steps.js';

const policy = { initialMs: 10_000, maxMs: 300_000, resetAfterMs: 600_000 };
const before = (delayMs: number, at: number, key = 'k'): RestartBackoff => ({ delayMs, at, key });

describe('restartTiming', () => {
  test.each([
    ['a first start', undefined, undefined, { kind: 'now', backoff: undefined }],
    ['a first restart', 99_000, undefined, { kind: 'now', backoff: before(10_000, 100_000) }],
    ['a second one too soon', 99_000, before(10_000, 90_000), { kind: 'wait', until: 109_000, delayMs: 10_000 }],
    ['a second one in time', 90_000, before(10_000, 80_000), { kind: 'now', backoff: before(20_000, 100_000) }],
    ['the cap', -300_000, before(300_000, -400_000), { kind: 'now', backoff: before(300_000, 100_000) }],
    ['a long quiet run', 99_000, before(80_000, -502_000), { kind: 'now', backoff: before(10_000, 100_000) }],
    ['another image', 99_000, before(80_000, 90_000, 'old'), { kind: 'now', backoff: before(10_000, 100_000) }],
    [
      'an end that was waited for already',
      80_000,
      before(40_000, 95_000),
      { kind: 'now', backoff: before(40_000, 95_000) },
    ],
  ])('%s', (_, endedAt, previous, expected) => {
    expect(restartTiming({ endedAt, previous, key: 'k' }, policy, 100_000)).toEqual(expected);
  });

  test('doubles from the first delay to the cap', () => {
    let backoff: RestartBackoff | undefined;
    const waits: number[] = [];
    for (let now = 0; waits.length < 7;) {
      const timing = restartTiming({ endedAt: now, previous: backoff, key: 'k' }, policy, now);
      const start = timing.kind === 'wait' ? timing.until : now;
      waits.push(start - now);
      const granted = restartTiming({ endedAt: now, previous: backoff, key: 'k' }, policy, start);
      backoff = granted.kind === 'now' ? granted.backoff : undefined;
      now = start + 1;
    }
    expect(waits).toEqual([0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000]);
  });
});

describe('nextTryAfter', () => {
  const image: Step = { kind: 'ensure-image', container: 'a', image: 'a:1' };
  const start: Step = {
    kind: 'start-container',
    container: 'a',
    role: 'regular',
    sandboxId: 's',
    imageId: 'i',
    restartCount: 0,
  };
  test.each<[Step, string, number[]]>([
    [
      { kind: 'create-sandbox', attempt: 0 },
      'FailedCreatePodSandBox',
      [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000],
    ],
    [image, 'ErrImagePull', [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]],
    [image, 'ErrImageNeverPull', [10_000, 10_000]],
    [start, 'CreateContainerConfigError', [1000, 10_000, 10_000]],
    [start, 'PostStartHookError', [0, 0]],
    [{ kind: 'stop-sandbox', sandboxId: 's' }, 'FailedKillPod', [250, 500, 1000, 2000, 4000, 5000, 5000]],
    [{ kind: 'unmount-volumes' }, 'FailedUnMount', [250, 500, 1000, 2000, 4000, 8000, 10_000]],
  ])('%j after %s', (step, reason, delays) => {
    expect(delays.map((_, index) => nextTryAfter(step, index + 1, reason))).toEqual(delays);
  });

  test('stays finite for ever', () => {
    expect(nextTryAfter(image, 1e9, 'ErrImagePull')).toBe(300_000);
  });
});

test.each([
  [10_000, '10s'],
  [80_000, '1m20s'],
  [300_000, '5m0s'],
  [3_600_000, '1h0m0s'],
])('%d ms in Go is %s', (ms, text) => {
  expect(formatGoDuration(ms)).toBe(text);
});
