import { describe, expect, test } from 'vitest';
import type { Container, Pod, PodSpec, PodStatus } from '../../api/index.js';
import { resourcesOf } from '../../resources/resize/pod-resources.js';
import { deriveStatus } from '../../status/index.js';
import type { PodFacts, ResizeFacts } from '../pod-facts.js';
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
import type { Step, StepFailure } from '../steps.js';

const sized = (cpu: string, memory = '64Mi', more: Partial<Container> = {}): PodSpec => ({
  containers: [
    { name: 'main', image: 'main:1', resources: { requests: { cpu, memory }, limits: { cpu, memory } }, ...more },
  ],
});
const anew: Partial<Container> = { resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] };
const podWith = (spec: PodSpec): Pod => testPod(spec);
const settledAt = (pod: Pod): ResizeFacts => ({ given: resourcesOf(pod), sizedFor: pod });

function look(spec: PodSpec, resize: ResizeFacts | undefined, facts: Partial<PodFacts> = {}) {
  const all = testFacts({
    runtime: { sandboxes: [testSandbox()], containers: [testContainer({ name: 'main', image: 'main:1' })] },
    resize,
    ...facts,
  });
  const desired = testDesired(podWith(spec));
  const plan = planPod(desired, all, testPolicy, now);
  return { plan, kinds: plan.steps.map(({ kind }) => kind), status: deriveStatus(desired, all, plan, now) };
}
const resizeConditions = (status: PodStatus | undefined) =>
  (status?.conditions ?? [])
    .filter(({ type }) => type.startsWith('PodResize'))
    .map(({ type, reason, message }) => [type, reason, message]);

test.each<[string, PodSpec, ResizeFacts | undefined, readonly Step['kind'][]]>([
  ['as it is promised: nothing', sized('1'), settledAt(podWith(sized('1000m'))), []],
  ['resources are not followed: nothing', sized('1'), undefined, []],
  ['other resources: resized', sized('2'), settledAt(podWith(sized('1'))), ['resize-pod']],
  [
    'only its cgroup is not: resized',
    sized('1'),
    { ...settledAt(podWith(sized('1'))), sizedFor: undefined },
    ['resize-pod'],
  ],
  ['nothing is known: given again', sized('1'), { given: undefined, sizedFor: podWith(sized('1')) }, ['resize-pod']],
  [
    'a policy to start anew: ended first',
    sized('2', '64Mi', anew),
    settledAt(podWith(sized('1', '64Mi', anew))),
    ['kill-container'],
  ],
  [
    'the policy is of the other resource',
    sized('1', '128Mi', anew),
    settledAt(podWith(sized('1', '64Mi', anew))),
    ['resize-pod'],
  ],
])('%s', (_name, spec, resize, kinds) => expect(look(spec, resize).kinds).toEqual(kinds));

describe('a container that starts anew', () => {
  const before = podWith(sized('1', '64Mi', anew));
  const spec = sized('2', '64Mi', anew);
  const dead = testContainer({ name: 'main', image: 'main:1', state: 'exited', exitCode: 143, finishedAt: now });
  const notes = new Map([
    [
      'main',
      { killed: { containerId: dead.id, why: 'resize' as const }, imageReady: { image: 'main:1', imageId: 'i' } },
    ],
  ]);
  const facts: Partial<PodFacts> = { runtime: { sandboxes: [testSandbox()], containers: [dead] }, notes };

  test('waits until its pod has the room', () => {
    expect(look(spec, settledAt(before), facts).kinds).toEqual(['resize-pod']);
    const busy = { ...facts, inFlight: inFlight({ kind: 'resize-pod' }) };
    expect(look(spec, settledAt(before), busy).kinds).toEqual([]);
  });

  test('starts then, whatever its restart policy, and is being resized until it has', () => {
    const sizedFor = podWith(spec);
    const { kinds, status } = look({ ...spec, restartPolicy: 'OnFailure' }, { ...settledAt(before), sizedFor }, facts);
    expect(kinds).toEqual(['start-container']);
    expect(resizeConditions(status)).toEqual([['PodResizeInProgress', undefined, undefined]]);
  });

  test('starts also when the pod cannot be given the room now', () => {
    const failure: StepFailure = {
      step: { kind: 'resize-pod' },
      attempt: 1,
      since: now,
      failedAt: now,
      nextTry: now + 1000,
      reason: 'ResizeError',
      message: 'no',
    };
    const held = { ...facts, failures: new Map([['resize-pod', failure]]) };
    const { kinds, status } = look(spec, settledAt(before), held);
    expect(kinds).toEqual(['start-container']);
    expect(resizeConditions(status)).toEqual([['PodResizeInProgress', 'Error', 'no']]);
  });
});

test('what cannot be promised is a condition and a wait, and keeps nothing from running', () => {
  const refusal = { kind: 'Deferred' as const, message: 'the node is full' };
  const { kinds, plan, status } = look(sized('1'), { ...settledAt(podWith(sized('1'))), refusal });
  expect(kinds).toEqual([]);
  expect(plan.waits).toMatchObject([
    { step: 'resize', lastError: { reason: 'Deferred', message: 'the node is full' } },
  ]);
  expect(resizeConditions(status)).toEqual([['PodResizePending', 'Deferred', 'the node is full']]);
});

test('a pod that ends is not resized', () => {
  const pod = podWith(sized('2'));
  const facts = testFacts({
    runtime: { sandboxes: [testSandbox()], containers: [testContainer({ name: 'main', image: 'main:1' })] },
    resize: settledAt(podWith(sized('1'))),
    inFlight: inFlight({ kind: 'resize-pod' }),
  });
  const desired = testDesired(pod, { termination: { cause: 'deleted', since: now, graceSeconds: 30 } });
  const plan = planPod(desired, facts, testPolicy, now);
  expect(plan.cancel).toEqual(['resize-pod']);
  expect(resizeConditions(deriveStatus(desired, facts, plan, now))).toEqual([]);
});
