import { expect, test } from 'vitest';
import type { Pod, PodUid } from '../api/index.js';
import type { PassResult } from '../podloop/pod-loop.js';
import type { CurrentWait, Step } from '../podloop/steps.js';
import { passEvents } from './pass-events.js';

const pod: Pod = {
  metadata: { name: 'web', namespace: 'shop', uid: 'u1' },
  spec: { containers: [{ name: 'main', image: 'a/b:1' }] },
};

const pass = (waits: CurrentWait[], more: { steps?: Step[]; status?: PassResult['status'] } = {}): PassResult => ({
  desired: { uid: 'u1' as PodUid, pod, static: false },
  status: more.status,
  plan: { steps: more.steps ?? [], cancel: [], next: 'wait', waits },
});

const backoff = (nextTry: number): CurrentWait => ({
  step: 'restart-back-off',
  object: 'container main',
  container: 'main',
  since: 1,
  attempt: 1,
  nextTry,
  lastError: { reason: 'CrashLoopBackOff', message: 'back-off 10s' },
});

const pull = (reason: string, nextTry: number | undefined): CurrentWait => ({
  step: 'ensure-image',
  object: 'image a/b:1',
  container: 'main',
  since: 1,
  attempt: 1,
  lastError: { reason, message: 'no route' },
  ...(nextTry !== undefined && { nextTry }),
});

test('a restart back-off is told once for each time a container has to wait', () => {
  const told = {
    container: 'main',
    type: 'Warning',
    reason: 'BackOff',
    message: 'Back-off restarting failed container main in pod web_shop(u1)',
  };
  expect(passEvents(undefined, pass([backoff(100)]))).toEqual([told]);
  expect(passEvents(pass([backoff(100)]), pass([backoff(100)]))).toEqual([]);
  expect(passEvents(pass([backoff(100)]), pass([backoff(300)]))).toEqual([told]);
});

test('a pull is told to be backing off only while it waits for its next try', () => {
  expect(passEvents(undefined, pass([pull('ErrImagePull', undefined)]))).toEqual([]);
  expect(passEvents(undefined, pass([pull('ErrImageNeverPull', 5)]))).toEqual([]);
  expect(passEvents(pass([pull('ErrImagePull', undefined)]), pass([pull('ErrImagePull', 5)]))).toMatchObject([
    { type: 'Normal', reason: 'BackOff', message: 'Back-off pulling image "a/b:1"' },
    { container: 'main', type: 'Warning', reason: 'Failed', message: 'Error: ImagePullBackOff' },
  ]);
});

test.each([
  ['a new sandbox', { steps: [{ kind: 'create-sandbox', attempt: 1 } as const] }, ['SandboxChanged']],
  ['the first sandbox', { steps: [{ kind: 'create-sandbox', attempt: 0 } as const] }, []],
  ['a passed deadline', { status: { reason: 'DeadlineExceeded', message: 'too long' } }, ['DeadlineExceeded']],
])('%s', (_what, more, reasons) => {
  expect(passEvents(pass([]), pass([], more)).map(({ reason }) => reason)).toEqual(reasons);
});

test('a deadline is told once', () => {
  const over = pass([], { status: { reason: 'DeadlineExceeded', message: 'too long' } });
  expect(passEvents(over, over)).toEqual([]);
});
