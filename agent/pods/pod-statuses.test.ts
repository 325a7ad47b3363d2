import { expect, test } from 'vitest';
import { podUidOf } from '../api/index.js';
import type { PassResult } from '../podloop/pod-loop.js';
import { runtimeWait } from '../runtimes/runtime-wait.js';
import { PodStatuses, type PodStatusesDeps } from './pod-statuses.js';

const uid = podUidOf({ metadata: { uid: 'one' } });
const result: PassResult = {
  desired: undefined,
  status: { phase: 'Running' },
  plan: { steps: [], cancel: [], next: 'wait', waits: [] },
};
const well = { ready: true, message: '', network: { ready: true, message: '' } };

test('after the runtime was away a pod waits for it until its next pass, which is told also when it concludes the same', () => {
  const statuses = new PodStatuses({} as PodStatusesDeps);
  const told: string[] = [];
  using _listening = statuses.onChange((one) => {
    const waits = runtimeWait(well, statuses.of(one), statuses.doubtedSince(one));
    told.push(waits.map(({ step, since }) => `${step} since ${since}`).join());
  });
  statuses.report(uid, result);
  // A pass always makes its waits anew: only what they say counts.
  statuses.report(uid, { ...result, plan: { ...result.plan, waits: [] } });
  expect(told).toEqual(['']);
  statuses.doubtAll(1000);
  expect(runtimeWait(well, statuses.of(uid), statuses.doubtedSince(uid))).toMatchObject([
    { step: 'runtime', since: 1000, lastError: { message: expect.stringContaining('has not been looked at') } },
  ]);
  expect(runtimeWait(well, { phase: 'Succeeded' }, statuses.doubtedSince(uid))).toEqual([]);
  statuses.report(uid, result);
  expect(told).toEqual(['', '']);
  expect(statuses.doubtedSince(uid)).toBeUndefined();
});
