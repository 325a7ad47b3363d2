import { toRfc3339 } from '../../../base/clock.js';
import { describe, expect, test } from 'vitest';
import {
  type Case,
  waitFor,
  unready,
  failed,
  failures,
  ensure,
  imageWait,
  start,
  images,
  container,
  exited,
  runtime,
  kill,
  two,
  one,
  withInit,
  away,
  planned,
  expected,
} from './plan-fixtures.js';
import { planPod } from './plan-pod.js';
import { inFlight, testFacts, testPolicy, testSandbox, testStart as now } from '../pod-fixtures.js';

const cases: Record<string, Record<string, Case>> = {
  'lays the ground, one thing after the other': {
    'folders and cgroup first': {
      facts: { prepared: false, volumesMounted: false },
      plan: { steps: [{ kind: 'prepare-pod' }], waits: [waitFor('prepare-pod', 'pod')] },
    },
    'a device that cannot be had yet is waited for': {
      facts: { prepared: false, volumesMounted: false, grantWait: { ...away, until: now + 5000 } },
      plan: {
        lookAgainAt: now + 5000,
        waits: [
          {
            step: 'devices',
            object: 'device a.com/gpu',
            since: now - 1000,
            attempt: 1,
            lastError: {
              reason: 'WaitingForDevices',
              message: `its plugin is away; the pod is refused at ${toRfc3339(now + 5000)}`,
            },
            nextTry: now + 5000,
          },
        ],
      },
    },
    'and asked for again when its time is over': {
      facts: { prepared: false, volumesMounted: false, grantWait: { ...away, until: now } },
      plan: { steps: [{ kind: 'prepare-pod' }], waits: [waitFor('prepare-pod', 'pod')] },
    },
    'then the volumes': {
      facts: { volumesMounted: false },
      plan: { steps: [{ kind: 'mount-volumes' }], waits: [waitFor('mount-volumes', 'volumes')] },
    },
    'never twice what is under way': {
      facts: { volumesMounted: false, inFlight: inFlight({ kind: 'mount-volumes' }) },
      plan: { waits: [waitFor('mount-volumes', 'volumes')] },
    },
    'not before the next try of what failed': {
      facts: { volumesMounted: false, failures: failures(failed({ kind: 'mount-volumes' }, 'FailedMount', now + 500)) },
      plan: {
        lookAgainAt: now + 500,
        waits: [
          waitFor('mount-volumes', 'volumes', {
            since: now - 1000,
            lastError: { reason: 'FailedMount', message: 'the cause' },
            nextTry: now + 500,
          }),
        ],
      },
    },
    'then the sandbox': {
      facts: {},
      plan: { steps: [{ kind: 'create-sandbox', attempt: 0 }], waits: [waitFor('create-sandbox', 'sandbox')] },
    },
    'which needs the network of the node': {
      facts: {
        network: { ready: false, message: 'no CNI configuration' },
        lastReported: { startTime: '2026-01-01T00:00:00Z' },
      },
      plan: {
        waits: [
          waitFor('network', 'network of the node', {
            lastError: { reason: 'NetworkNotReady', message: 'network is not ready: no CNI configuration' },
          }),
        ],
      },
    },
    'unless it uses the one of the host': {
      spec: { hostNetwork: true },
      facts: { network: { ready: false, message: '' } },
      plan: { steps: [{ kind: 'create-sandbox', attempt: 0 }], waits: [waitFor('create-sandbox', 'sandbox')] },
    },
    'what a creation under way shows is not judged yet': {
      facts: {
        inFlight: inFlight({ kind: 'create-sandbox', attempt: 0 }),
        runtime: { sandboxes: [testSandbox({ ready: false, ips: [] })], containers: [] },
      },
      plan: { waits: [waitFor('create-sandbox', 'sandbox')] },
    },
  },
  'starts containers': {
    'all images at once': {
      spec: two,
      facts: { runtime: runtime() },
      plan: { steps: [ensure('a'), ensure('b')], waits: [imageWait('a'), imageWait('b')] },
    },
    'in spec order: the second waits for the image of the first': {
      spec: two,
      facts: { runtime: runtime(), notes: images('b'), inFlight: inFlight(ensure('a')) },
      plan: { waits: [imageWait('a')] },
    },
    'one at a time': {
      spec: two,
      facts: { runtime: runtime(), notes: images('a', 'b') },
      plan: { steps: [start('a')], waits: [waitFor('start-container', 'container a')] },
    },
    'the next one after the postStart hook of the one before': {
      spec: two,
      facts: { runtime: runtime(container('a')), notes: images('b'), inFlight: inFlight(start('a')) },
      plan: { waits: [waitFor('start-container', 'container a')] },
    },
    'one that fails does not hold back the others': {
      spec: two,
      facts: {
        runtime: runtime(),
        notes: images('a', 'b'),
        failures: failures(failed(start('a'), 'CreateContainerConfigError', now + 9000, 2)),
      },
      plan: {
        steps: [start('b')],
        lookAgainAt: now + 9000,
        waits: [
          waitFor('start-container', 'container a', {
            since: now - 1000,
            attempt: 2,
            lastError: { reason: 'CreateContainerConfigError', message: 'the cause' },
            nextTry: now + 9000,
          }),
          waitFor('start-container', 'container b'),
        ],
      },
    },
    'a failure of another image is forgotten': {
      spec: one,
      facts: {
        runtime: runtime(),
        failures: failures(
          failed({ kind: 'ensure-image', container: 'a', image: 'old:1' }, 'ErrImagePull', now + 9000),
        ),
      },
      plan: { steps: [ensure('a')], waits: [imageWait('a')] },
    },
    'the pull of an image that the spec does not name any more is cancelled': {
      spec: one,
      facts: {
        runtime: runtime(),
        inFlight: inFlight({ kind: 'ensure-image', container: 'a', image: 'old:1' }),
      },
      plan: { cancel: ['ensure-image/a'], waits: [imageWait('a')] },
    },
    'one that was made and never started is made again': {
      spec: one,
      facts: { runtime: runtime(container('a', { state: 'created' })), notes: images('a') },
      plan: {
        steps: [{ kind: 'remove-container', container: 'a', containerId: 'a-0', keepLogs: false, neverRan: true }],
        waits: [waitFor('remove-container', 'container a')],
      },
    },
    'one that was made and never started, and is ended by its removal, has not run: its policy has no say': {
      spec: { ...one, restartPolicy: 'Never' },
      facts: {
        runtime: runtime(container('a', { state: 'exited', exitCode: 137, finishedAt: now })),
        notes: new Map([['a', { neverRan: 'a-0', imageReady: { image: 'a:1', imageId: 'sha-a' } }]]),
      },
      plan: {
        steps: [{ kind: 'remove-container', container: 'a', containerId: 'a-0', keepLogs: false, neverRan: true }],
        waits: [waitFor('remove-container', 'container a')],
      },
    },
    'ephemeral ones beside all others, once': {
      spec: { ...one, ephemeralContainers: [{ name: 'debug', image: 'debug:1' }] },
      facts: { runtime: runtime(container('a')), notes: images('debug') },
      plan: {
        steps: [start('debug', { role: 'ephemeral' })],
        waits: [waitFor('start-container', 'container debug')],
      },
    },
    'an ephemeral one that ended stays so': {
      spec: { ...one, ephemeralContainers: [{ name: 'debug', image: 'debug:1' }] },
      facts: { runtime: runtime(container('a'), exited('debug', 1)) },
      plan: {},
    },
    'nothing is left to do for one that runs': { spec: one, facts: { runtime: runtime(container('a')) }, plan: {} },
    'a readiness probe that has not passed is told of': {
      spec: { containers: [{ name: 'a', image: 'a:1', readinessProbe: {} }] },
      facts: { runtime: runtime(container('a')), probes: new Map([['a-0', { started: true, ready: false }]]) },
      plan: { waits: [unready('a', 'readiness-probe', 'readiness probe of container a has not succeeded')] },
    },
  },
  'runs init containers in order': {
    'the first one, while the images of the rest are fetched': {
      spec: withInit,
      facts: { runtime: runtime(), notes: images('first') },
      plan: {
        steps: [start('first', { role: 'init' }), ensure('side'), ensure('second'), ensure('a')],
        waits: [waitFor('start-container', 'container first'), imageWait('side'), imageWait('second'), imageWait('a')],
      },
    },
    'waits for it to end': {
      spec: withInit,
      facts: { runtime: runtime(container('first')), notes: images('side', 'second', 'a') },
      plan: { waits: [unready('first', 'init-container', 'init container first has not finished')] },
    },
    'a sidecar must have started': {
      spec: withInit,
      facts: {
        runtime: runtime(container('side'), exited('first', 0)),
        probes: new Map([['side-0', { started: false, ready: false }]]),
        notes: images('second', 'a'),
      },
      plan: { waits: [unready('side', 'startup-probe', 'startup probe of container side has not succeeded')] },
    },
    'the next one follows a sidecar that has': {
      spec: withInit,
      facts: { runtime: runtime(container('side'), exited('first', 0)), notes: images('second', 'a') },
      plan: {
        steps: [start('second', { role: 'init' })],
        waits: [waitFor('start-container', 'container second')],
      },
    },
    'one that fails runs again, after a pause': {
      spec: withInit,
      facts: { runtime: runtime(exited('first', 1)), notes: images('first', 'side', 'second', 'a') },
      plan: {
        steps: [
          start('first', {
            role: 'init',
            restartCount: 1,
            backoff: { delayMs: 10_000, at: now, key: '["first:1",{}]' },
          }),
        ],
        waits: [waitFor('start-container', 'container first')],
      },
    },
    'those that the runtime forgot are done when a later one is there': {
      spec: withInit,
      facts: { runtime: runtime(container('a'), container('side')) },
      plan: {},
    },
    'a sidecar that went away comes back while the pod runs': {
      spec: withInit,
      facts: { runtime: runtime(container('a'), exited('side', 0)), notes: images('side') },
      plan: {
        steps: [
          start('side', {
            role: 'sidecar',
            restartCount: 1,
            backoff: { delayMs: 10_000, at: now, key: '["side:1",{}]' },
          }),
        ],
        waits: [waitFor('start-container', 'container side')],
      },
    },
  },
};

describe.each(Object.entries(cases))('%s', (_, group) => {
  test.each(Object.entries(group))('%s', (_, one) => {
    expect(planned(one)).toEqual(expected(one));
  });
});

describe('a pod that nobody desires', () => {
  const facts = testFacts({ runtime: runtime(container('a'), container('side')) });

  test('is left alone until all sources have spoken', () => {
    const plan = planPod(undefined, { ...facts, sourcesSynced: false }, testPolicy, now);
    expect(plan).toEqual({
      steps: [],
      cancel: [],
      next: 'wait',
      waits: [waitFor('sources', 'pod sources', { since: facts.agentStartedAt })],
    });
  });

  test('gets hardly any grace', () => {
    expect(planPod(undefined, facts, testPolicy, now).steps).toEqual([
      kill('a', { graceSeconds: 2 }),
      kill('side', { graceSeconds: 2 }),
    ]);
  });

  test('is forgotten when nothing of it is there', () => {
    const gone = testFacts({ volumesPresent: false, released: true });
    expect(planPod(undefined, gone, testPolicy, now)).toEqual({ steps: [], cancel: [], next: 'forget', waits: [] });
  });
});
