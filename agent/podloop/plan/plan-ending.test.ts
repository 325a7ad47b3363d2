import { describe, expect, test } from 'vitest';
import {
  type Case,
  waitFor,
  ensure,
  start,
  images,
  container,
  exited,
  runtime,
  kill,
  killWait,
  two,
  one,
  withInit,
  deleted,
  planned,
  expected,
} from './plan-fixtures.js';
import { inFlight, testSandbox, testStart as now } from '../pod-fixtures.js';

const lifecycle = { preStop: { sleep: { seconds: 5 } } };
const withHook = { ...one, initContainers: [{ name: 'side', restartPolicy: 'Always' as const, lifecycle }] };
const hook = { kind: 'pre-stop', container: 'side', containerId: 'side-0', graceSeconds: 30 } as const;
const hookWait = waitFor('pre-stop', 'container side');
const turnWait = waitFor('turn-to-stop', 'container side', { nextTry: now + 30_000 });

const cases: Record<string, Record<string, Case>> = {
  'ends a pod': {
    'what is being made is given up, what runs is killed with the grace that is left': {
      spec: two,
      desired: deleted(30, now - 10_000),
      facts: { runtime: runtime(container('a')), inFlight: inFlight(start('b'), ensure('b')) },
      plan: {
        cancel: ['start-container/b', 'ensure-image/b'],
        steps: [kill('a', { graceSeconds: 20 })],
        waits: [killWait('a')],
      },
    },
    'sidecars wait for their turn': {
      spec: withInit,
      desired: deleted(30),
      facts: { runtime: runtime(container('a'), container('side')) },
      plan: {
        steps: [kill('a')],
        lookAgainAt: now + 30_000,
        waits: [killWait('a'), waitFor('turn-to-stop', 'container side', { nextTry: now + 30_000 })],
      },
    },
    'sidecars have their turn when the grace is over, with the least there is': {
      spec: withInit,
      desired: deleted(30, now - 30_000),
      facts: { runtime: runtime(container('a'), container('side')), inFlight: inFlight(kill('a')) },
      plan: {
        steps: [kill('a', { graceSeconds: 2 }), kill('side', { graceSeconds: 2 })],
        waits: [killWait('a'), killWait('side')],
      },
    },
    'the hook of a sidecar begins with the end of the pod, whoever stops first': {
      spec: withHook,
      desired: deleted(30),
      facts: { runtime: runtime(container('a'), container('side')) },
      plan: {
        steps: [kill('a'), hook],
        lookAgainAt: now + 30_000,
        waits: [killWait('a'), hookWait, turnWait],
      },
    },
    'a sidecar whose hook is over when its turn comes is stopped without it': {
      spec: withHook,
      desired: deleted(30, now - 10_000),
      facts: { runtime: runtime(container('side')), notes: new Map([['side', { preStopBegun: 'side-0' }]]) },
      plan: { steps: [kill('side', { graceSeconds: 20, preStop: false })], waits: [killWait('side')] },
    },
    'a sidecar whose hook still runs when its turn comes is not stopped yet': {
      spec: withHook,
      desired: deleted(30),
      facts: { runtime: runtime(container('side')), inFlight: inFlight(hook) },
      plan: { lookAgainAt: now + 30_000, waits: [hookWait, turnWait] },
    },
    'a hook that outlasts the grace is ended with it': {
      spec: withHook,
      desired: deleted(30, now - 30_000),
      facts: {
        runtime: runtime(container('side')),
        inFlight: inFlight(hook),
        notes: new Map([['side', { preStopBegun: 'side-0' }]]),
      },
      plan: {
        cancel: ['pre-stop/side-0'],
        steps: [kill('side', { graceSeconds: 2, preStop: false })],
        waits: [killWait('side')],
      },
    },
    'a sidecar whose turn it is has its hook run by the kill': {
      spec: withHook,
      desired: deleted(30),
      facts: { runtime: runtime(container('side')) },
      plan: { steps: [kill('side')], waits: [killWait('side')] },
    },
    'a sidecar that was being killed before its turn has its hook run by that kill': {
      spec: withHook,
      desired: deleted(30),
      facts: { runtime: runtime(container('a'), container('side')), inFlight: inFlight(kill('side')) },
      plan: { steps: [kill('a')], lookAgainAt: now + 30_000, waits: [killWait('a'), turnWait] },
    },
    'a kill under way is left alone': {
      spec: one,
      desired: deleted(30),
      facts: { runtime: runtime(container('a')), inFlight: inFlight(kill('a')) },
      plan: { waits: [killWait('a')] },
    },
    'a kill under way is hurried when the grace shrinks': {
      spec: one,
      desired: deleted(5),
      facts: { runtime: runtime(container('a')), inFlight: inFlight(kill('a')) },
      plan: { steps: [kill('a', { graceSeconds: 5 })], waits: [killWait('a')] },
    },
    'without grace there is no hook': {
      spec: one,
      desired: deleted(0),
      facts: { runtime: runtime(container('a')) },
      plan: { steps: [kill('a', { graceSeconds: 0, preStop: false })], waits: [killWait('a')] },
    },
    'then the sandbox is stopped': {
      spec: one,
      desired: deleted(30),
      facts: { runtime: runtime(exited('a', 0)) },
      plan: { steps: [{ kind: 'stop-sandbox', sandboxId: 's0' }], waits: [waitFor('stop-sandbox', 'sandbox s0')] },
    },
    'then all is removed': {
      spec: one,
      desired: deleted(30),
      facts: { runtime: { sandboxes: [testSandbox({ ready: false })], containers: [exited('a', 0)] } },
      plan: {
        steps: [
          { kind: 'unmount-volumes' },
          { kind: 'remove-container', container: 'a', containerId: 'a-0', keepLogs: false },
        ],
        waits: [waitFor('unmount-volumes', 'volumes'), waitFor('remove-container', 'container a')],
      },
    },
    'then what it was granted is given back': {
      spec: one,
      desired: deleted(30),
      facts: { volumesPresent: false },
      plan: { steps: [{ kind: 'release-pod' }], waits: [waitFor('release-pod', 'pod')] },
    },
    'then it is forgotten': {
      spec: one,
      desired: deleted(30),
      facts: { volumesPresent: false, released: true },
      plan: { next: 'forget' },
    },
    'one that finished keeps its containers': {
      spec: { ...one, restartPolicy: 'OnFailure' },
      facts: { runtime: { sandboxes: [testSandbox({ ready: false })], containers: [exited('a', 0)] } },
      plan: { steps: [{ kind: 'unmount-volumes' }], waits: [waitFor('unmount-volumes', 'volumes')] },
    },
    'one that finished stops its sidecars': {
      spec: { ...withInit, restartPolicy: 'Never' },
      facts: { runtime: runtime(exited('a', 1), container('side')) },
      plan: { steps: [kill('side', { graceSeconds: 25 })], waits: [killWait('side')] },
    },
    'one whose init container failed for good': {
      spec: { ...withInit, restartPolicy: 'Never' },
      facts: { runtime: runtime(exited('first', 1)), notes: images('first') },
      plan: { steps: [{ kind: 'stop-sandbox', sandboxId: 's0' }], waits: [waitFor('stop-sandbox', 'sandbox s0')] },
    },
    'one that was reported over is not started again': {
      spec: one,
      desired: { previousStatus: { phase: 'Succeeded' } },
      facts: { volumesPresent: false, released: true },
      plan: {},
    },
    'one that was evicted gives its containers back once its status is told': {
      spec: one,
      desired: { termination: { cause: 'evicted', since: now, graceSeconds: 0 } },
      facts: {
        runtime: { sandboxes: [testSandbox({ ready: false })], containers: [exited('a', 137)] },
        volumesPresent: false,
        released: true,
        lastReported: { phase: 'Failed' },
      },
      plan: {
        steps: [{ kind: 'remove-container', container: 'a', containerId: 'a-0', keepLogs: false }],
        waits: [waitFor('remove-container', 'container a')],
      },
    },
    'one that ended for another reason vanishes when it is removed': {
      spec: one,
      desired: { termination: { cause: 'evicted', since: now, graceSeconds: 0 }, removed: true },
      facts: {
        runtime: { sandboxes: [testSandbox({ ready: false })], containers: [] },
        volumesPresent: false,
        released: true,
      },
      plan: {
        steps: [{ kind: 'remove-sandbox', sandboxId: 's0' }],
        waits: [waitFor('remove-sandbox', 'sandbox s0')],
      },
    },
    'a deadline to come is looked out for': {
      spec: { ...one, activeDeadlineSeconds: 60 },
      facts: { runtime: runtime(container('a')), lastReported: { startTime: '2025-12-31T23:59:30Z' } },
      plan: { lookAgainAt: now + 30_000 },
    },
    'a deadline that is over ends it': {
      spec: { ...one, activeDeadlineSeconds: 30, terminationGracePeriodSeconds: 7 },
      facts: { runtime: runtime(container('a')), lastReported: { startTime: '2025-12-31T23:59:30Z' } },
      plan: { steps: [kill('a', { graceSeconds: 7 })], waits: [killWait('a')] },
    },
  },
};

describe.each(Object.entries(cases))('%s', (_, group) => {
  test.each(Object.entries(group))('%s', (_, one) => {
    expect(planned(one)).toEqual(expected(one));
  });
});
