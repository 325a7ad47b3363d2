import { toRfc3339 } from '../../base/clock.js';
import { describe, expect, test } from 'vitest';
import type { PodSpec } from '../api/index.js';
import type { DesiredPod, ObservedContainer, PodFacts } from './pod-facts.js';
import { planPod } from './plan-pod.js';
import {
  inFlight,
  testContainer,
  testDesired,
  testFacts,
  testPod,
  testPolicy,
  testSandbox,
  testStart as now,
} from './simulated-pod.js';
import { stepKey, type CurrentWait, type PodPlan, type Step, type StepFailure } from './steps.js';

interface Case {
  readonly spec?: Partial<PodSpec>;
  readonly desired?: Partial<DesiredPod>;
  readonly facts: Partial<PodFacts>;
  readonly plan: Partial<PodPlan>;
}

/** A step the pod waits for, as the plan tells it. */
function waitFor(step: CurrentWait['step'], object: string, fields: Partial<CurrentWait> = {}): CurrentWait {
  const container = object.startsWith('container ') ? object.slice('container '.length) : undefined;
  return { step, object, since: now, attempt: 1, ...(container !== undefined && { container }), ...fields };
}

const unready = (
  name: string,
  step: 'startup-probe' | 'readiness-probe' | 'init-container',
  words: string,
): CurrentWait => waitFor(step, `container ${name}`, { lastError: { reason: 'ContainersNotReady', message: words } });

function failed(step: Step, reason: string, nextTry: number, attempt = 1): StepFailure {
  return { step, attempt, since: now - 1000, failedAt: now, nextTry, reason, message: 'the cause' };
}

const failures = (...list: readonly StepFailure[]): ReadonlyMap<string, StepFailure> =>
  new Map(list.map((failure) => [stepKey(failure.step), failure]));

const ensure = (container: string): Step => ({ kind: 'ensure-image', container, image: `${container}:1` });
const imageWait = (container: string): CurrentWait => waitFor('ensure-image', `image ${container}:1`, { container });

function start(container: string, fields: Partial<Step & { kind: 'start-container' }> = {}): Step {
  return {
    kind: 'start-container',
    container,
    role: 'regular',
    sandboxId: 's0',
    imageId: `id-${container}`,
    restartCount: 0,
    ...fields,
  };
}

const images = (...names: readonly string[]): PodFacts['notes'] =>
  new Map(names.map((name) => [name, { imageReady: { image: `${name}:1`, imageId: `id-${name}` } }]));

const container = (name: string, fields: Partial<ObservedContainer> = {}): ObservedContainer =>
  testContainer({ name, image: `${name}:1`, ...fields });
const exited = (name: string, exitCode: number, fields: Partial<ObservedContainer> = {}): ObservedContainer =>
  container(name, { state: 'exited', exitCode, finishedAt: now - 5000, ...fields });

const runtime = (...containers: readonly ObservedContainer[]): PodFacts['runtime'] => ({
  sandboxes: [testSandbox()],
  containers,
});

const kill = (name: string, fields: Partial<Step & { kind: 'kill-container' }> = {}): Step => ({
  kind: 'kill-container',
  container: name,
  containerId: `${name}-0`,
  why: { kind: 'pod-terminating' },
  graceSeconds: 30,
  preStop: true,
  ...fields,
});
const killWait = (name: string): CurrentWait => waitFor('kill-container', `container ${name}`);

const two = {
  containers: [
    { name: 'a', image: 'a:1' },
    { name: 'b', image: 'b:1' },
  ],
};
const one = { containers: [{ name: 'a', image: 'a:1' }] };
const withInit = {
  ...one,
  initContainers: [
    { name: 'first', image: 'first:1' },
    { name: 'side', image: 'side:1', restartPolicy: 'Always' as const },
    { name: 'second', image: 'second:1' },
  ],
};
const deleted = (graceSeconds: number, since = now): Partial<DesiredPod> => ({
  termination: { cause: 'deleted', since, graceSeconds },
});

const away = { resource: 'a.com/gpu', reason: 'its plugin is away', since: now - 1000 };

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
  test.each(Object.entries(group))('%s', (_, { spec, desired, facts, plan }) => {
    const expected: PodPlan = { steps: [], cancel: [], next: 'wait', waits: [], ...plan };
    const seen = { agentStartedAt: now - 60_000, ...facts };
    expect(planPod(testDesired(testPod(spec), desired), testFacts(seen), testPolicy, now)).toEqual(expected);
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
