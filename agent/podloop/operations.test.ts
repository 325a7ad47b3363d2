import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { Operations, type OperationsDeps } from './operations.js';
import type { Step } from './steps.js';

interface World {
  readonly operations: Operations;
  readonly ended: [string, string][];
  readonly calls: { step: Step; signal: AbortSignal; finish: (err?: Error) => void }[];
  readonly settle: () => Promise<void>;
}

function world(): World {
  const calls: World['calls'] = [];
  const ended: World['ended'] = [];
  const deps: OperationsDeps = {
    clock: { ...systemClock, now: () => 1000 },
    log: silentLogger,
    execute: (step, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
        calls.push({ step, signal, finish: (err) => (err ? reject(err) : resolve()) });
      }),
    describe: (_step, err) => ({ reason: 'Broken', message: (err as Error).message }),
    retryAfter: (_step, attempt) => attempt * 100,
    ended: (step, outcome) => ended.push([step.kind, typeof outcome === 'object' ? outcome.message : outcome]),
  };
  const operations = new Operations(deps, new AbortController().signal);
  return { operations, ended, calls, settle: () => new Promise((resolve) => setImmediate(resolve)) };
}

const mount: Step = { kind: 'mount-volumes' };
const kill = (graceSeconds: number): Step => ({
  kind: 'kill-container',
  container: 'c',
  containerId: 'id',
  why: { kind: 'pod-terminating' },
  graceSeconds,
  preStop: true,
});

test('a step runs once however often it is named, and its end is told', async () => {
  const { operations, calls, ended, settle } = world();
  operations.start(mount);
  operations.start(mount);
  await settle();
  expect(calls).toHaveLength(1);
  expect([...operations.inFlight.keys()]).toEqual(['mount-volumes']);
  calls[0]?.finish();
  await settle();
  expect(operations.inFlight.size).toBe(0);
  expect(ended).toEqual([['mount-volumes', 'done']]);
});

test('failures count up, keep when they began, and go with a success', async () => {
  const { operations, calls, settle } = world();
  for (const n of [0, 1]) {
    operations.start(mount);
    await settle();
    calls[n]?.finish(new Error('driver says no'));
    await settle();
  }
  expect(operations.failures.get('mount-volumes')).toMatchObject({
    attempt: 2,
    since: 1000,
    nextTry: 1200,
    reason: 'Broken',
    message: 'driver says no',
  });
  operations.start(mount);
  await settle();
  calls[2]?.finish();
  await settle();
  expect(operations.failures.size).toBe(0);
});

test('a cancelled step is no failure', async () => {
  const { operations, ended, settle } = world();
  operations.start(mount);
  await settle();
  operations.cancel(['mount-volumes']);
  await settle();
  expect(ended).toEqual([['mount-volumes', 'cancelled']]);
  expect(operations.failures.size).toBe(0);
});

test('a kill with less grace runs beside the first, one with as much does not', async () => {
  const { operations, calls, settle } = world();
  operations.start(kill(30));
  operations.start(kill(30));
  operations.start(kill(5));
  await settle();
  expect(calls.map(({ step }) => (step.kind === 'kill-container' ? step.graceSeconds : 0))).toEqual([30, 5]);
  calls[0]?.finish();
  await settle();
  expect(operations.inFlight.size).toBe(1);
  calls[1]?.finish();
  await settle();
  expect(operations.inFlight.size).toBe(0);
});

test('retryNow lets a failed step be tried at once', async () => {
  const { operations, calls, settle } = world();
  operations.start(mount);
  await settle();
  calls[0]?.finish(new Error('no'));
  await settle();
  operations.retryNow();
  expect(operations.failures.get('mount-volumes')?.nextTry).toBe(1000);
});

test('a step that succeeds over and over and changes nothing is a failure', async () => {
  const { operations, calls, ended, settle } = world();
  for (let n = 0; n < 11; n++) {
    operations.start(mount);
    await settle();
    calls[n]?.finish();
    await settle();
  }
  expect(ended.at(-2)).toEqual(['mount-volumes', 'done']);
  expect(ended.at(-1)?.[1]).toMatch(/succeeded 11 times in a row and is still to be done/);
});

test('disposing aborts what runs and waits for it', async () => {
  const { operations, calls, settle } = world();
  operations.start(mount);
  await settle();
  await operations[Symbol.asyncDispose]();
  expect(calls[0]?.signal.aborted).toBe(true);
  expect(operations.inFlight.size).toBe(0);
});
