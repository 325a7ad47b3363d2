import { describe, expect, test } from 'vitest';
import {
  type Case,
  waitFor,
  start,
  images,
  container,
  exited,
  failed,
  failures,
  runtime,
  kill,
  killWait,
  one,
  withInit,
  planned,
  expected,
} from './plan-fixtures.js';
import { testSandbox, testStart as now } from '../pod-fixtures.js';

const cases: Record<string, Record<string, Case>> = {
  restarts: {
    'not before the back-off is over': {
      spec: one,
      facts: {
        runtime: runtime(exited('a', 1)),
        notes: new Map([['a', { backoff: { delayMs: 20_000, at: now - 60_000, key: '["a:1",{}]' } }]]),
      },
      plan: {
        lookAgainAt: now + 15_000,
        waits: [
          waitFor('restart-back-off', 'container a', {
            since: now - 5000,
            lastError: {
              reason: 'CrashLoopBackOff',
              message: 'back-off 20s restarting failed container=a pod=web_default(u1)',
            },
            nextTry: now + 15_000,
          }),
        ],
      },
    },
    'not before the back-off is over, and why it came to that': {
      spec: one,
      facts: {
        runtime: runtime(exited('a', 137)),
        notes: new Map([['a', { backoff: { delayMs: 20_000, at: now - 60_000, key: '["a:1",{}]' } }]]),
        failures: failures(failed(start('a'), 'PostStartHookError', now)),
      },
      plan: {
        lookAgainAt: now + 15_000,
        waits: [
          waitFor('restart-back-off', 'container a', {
            since: now - 5000,
            lastError: {
              reason: 'CrashLoopBackOff',
              message: 'back-off 20s restarting failed container=a pod=web_default(u1)',
            },
            cause: { reason: 'PostStartHookError', message: 'the cause' },
            nextTry: now + 15_000,
          }),
        ],
      },
    },
    'with twice the back-off for the next time': {
      spec: one,
      facts: {
        runtime: runtime(exited('a', 1, { restartCount: 4 })),
        notes: new Map([
          [
            'a',
            {
              imageReady: { image: 'a:1', imageId: 'id-a' },
              backoff: { delayMs: 5000, at: now - 60_000, key: '["a:1",{}]' },
            },
          ],
        ]),
      },
      plan: {
        steps: [start('a', { restartCount: 5, backoff: { delayMs: 10_000, at: now, key: '["a:1",{}]' } })],
        waits: [waitFor('start-container', 'container a')],
      },
    },
    'what failed its liveness probe, with the grace of the probe': {
      spec: one,
      facts: {
        runtime: runtime(container('a')),
        probes: new Map([
          ['a-0', { started: true, ready: true, failed: { probe: 'liveness', message: 'no answer', graceSeconds: 3 } }],
        ]),
      },
      plan: {
        steps: [kill('a', { why: { kind: 'liveness-failed', message: 'no answer' }, graceSeconds: 3 })],
        waits: [killWait('a')],
      },
    },
    'what a kubelet made of the same image stays': {
      spec: one,
      facts: { runtime: runtime(container('a', { hash: '4749c88a' })) },
      plan: { steps: [], waits: [] },
    },
    'what has another image now': {
      spec: one,
      facts: { runtime: runtime(container('a', { hash: 'another' })) },
      plan: { steps: [kill('a', { why: { kind: 'spec-changed' } })], waits: [killWait('a')] },
    },
    'what was killed for its spec, even if it must not restart by itself': {
      spec: { ...one, restartPolicy: 'Never' },
      facts: {
        runtime: runtime(exited('a', 0)),
        notes: new Map([
          ['a', { imageReady: { image: 'a:1', imageId: 'id-a' }, killed: { containerId: 'a-0', why: 'spec-changed' } }],
        ]),
      },
      plan: {
        steps: [start('a', { restartCount: 1, backoff: { delayMs: 10_000, at: now, key: '["a:1",{}]' } })],
        waits: [waitFor('start-container', 'container a')],
      },
    },
    'what nobody knows the state of is killed first': {
      spec: one,
      facts: { runtime: runtime(container('a', { state: 'unknown' })) },
      plan: { steps: [kill('a', { why: { kind: 'state-unknown' } })], waits: [killWait('a')] },
    },
    'only the last dead instance is kept': {
      spec: one,
      facts: {
        runtime: runtime(
          container('a', { id: 'a-3', restartCount: 3 }),
          exited('a', 1, { id: 'a-2', restartCount: 2 }),
          exited('a', 1, { id: 'a-1', restartCount: 1 }),
        ),
      },
      plan: { steps: [{ kind: 'remove-container', container: 'a', containerId: 'a-1', keepLogs: false }] },
    },
    'a container that the spec does not name is taken away': {
      spec: one,
      facts: { runtime: runtime(container('a'), container('x'), exited('y', 0)) },
      plan: {
        steps: [
          kill('x', { why: { kind: 'not-wanted' } }),
          { kind: 'remove-container', container: 'y', containerId: 'y-0', keepLogs: false },
        ],
        waits: [killWait('x')],
      },
    },
  },
  'restarts all containers by a rule': {
    'what runs is killed at once, what ended is removed, the one that asked stays': {
      spec: {
        containers: [
          {
            name: 'a',
            image: 'a:1',
            restartPolicy: 'Never',
            restartPolicyRules: [{ action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [42] } }],
          },
          { name: 'b', image: 'b:1' },
        ],
        initContainers: [{ name: 'first', image: 'first:1' }],
      },
      facts: { runtime: runtime(exited('a', 42), container('b'), exited('first', 0)) },
      plan: {
        steps: [
          { kind: 'remove-container', container: 'first', containerId: 'first-0', keepLogs: true },
          kill('b', { why: { kind: 'restart-all' }, graceSeconds: 0, preStop: false }),
        ],
        waits: [waitFor('remove-container', 'container first'), killWait('b')],
      },
    },
    'then it goes too': {
      spec: {
        containers: [
          {
            name: 'a',
            image: 'a:1',
            restartPolicy: 'Never',
            restartPolicyRules: [{ action: 'RestartAllContainers', exitCodes: { operator: 'NotIn', values: [0] } }],
          },
        ],
      },
      facts: { runtime: runtime(exited('a', 42)) },
      plan: {
        steps: [{ kind: 'remove-container', container: 'a', containerId: 'a-0', keepLogs: true }],
        waits: [waitFor('remove-container', 'container a')],
      },
    },
  },
  'replaces a sandbox': {
    'after its containers': {
      spec: one,
      facts: { runtime: { sandboxes: [testSandbox({ ready: false })], containers: [container('a')] } },
      plan: { steps: [kill('a', { why: { kind: 'sandbox-changed' } })], waits: [killWait('a')] },
    },
    'and after it has been stopped, though it is not ready': {
      spec: one,
      facts: {
        runtime: { sandboxes: [testSandbox({ ready: false })], containers: [exited('a', 137)] },
        stoppedSandboxes: new Set(),
      },
      plan: { steps: [{ kind: 'stop-sandbox', sandboxId: 's0' }], waits: [waitFor('stop-sandbox', 'sandbox s0')] },
    },
    'with the next attempt': {
      spec: one,
      facts: {
        runtime: { sandboxes: [testSandbox({ ready: false, attempt: 4 })], containers: [exited('a', 137)] },
        stoppedSandboxes: new Set(['s0']),
      },
      plan: { steps: [{ kind: 'create-sandbox', attempt: 5 }], waits: [waitFor('create-sandbox', 'sandbox')] },
    },
    'also for its address, its network mode, and a second one': {
      spec: one,
      facts: { runtime: { sandboxes: [testSandbox({ id: 's1', attempt: 1 }), testSandbox()], containers: [] } },
      plan: {
        steps: [
          { kind: 'stop-sandbox', sandboxId: 's1' },
          { kind: 'stop-sandbox', sandboxId: 's0' },
        ],
        waits: [waitFor('stop-sandbox', 'sandbox s1'), waitFor('stop-sandbox', 'sandbox s0')],
      },
    },
    'not for a pod that has nothing left to run': {
      spec: { ...one, restartPolicy: 'Never' },
      facts: {
        runtime: { sandboxes: [testSandbox({ ready: false })], containers: [exited('a', 137)] },
        volumesPresent: false,
        released: true,
      },
      plan: {},
    },
    'the old one is removed when nothing is kept in it': {
      spec: one,
      facts: {
        runtime: {
          sandboxes: [testSandbox({ id: 's1', attempt: 1 }), testSandbox({ ready: false })],
          containers: [container('a', { sandboxId: 's1' })],
        },
        stoppedSandboxes: new Set(['s0']),
      },
      plan: { steps: [{ kind: 'remove-sandbox', sandboxId: 's0' }] },
    },
    'nothing starts while an older instance may still run': {
      spec: withInit,
      facts: {
        runtime: {
          sandboxes: [testSandbox({ id: 's1', attempt: 1 }), testSandbox({ ready: false })],
          containers: [container('first')],
        },
        notes: images('first', 'side', 'second', 'a'),
      },
      plan: { steps: [kill('first', { why: { kind: 'sandbox-changed' } })], waits: [killWait('first')] },
    },
  },
};

describe.each(Object.entries(cases))('%s', (_, group) => {
  test.each(Object.entries(group))('%s', (_, one) => {
    expect(planned(one)).toEqual(expected(one));
  });
});
