import { containerHash, type Pod, type PodSpec, type PodUid } from '../api/index.js';
import type { DesiredPod, ObservedContainer, ObservedSandbox, PlanPolicy, PodFacts } from './pod-facts.js';
import { stepKey, type Operation, type Step } from './steps.js';

// For tests.

export const testPolicy: PlanPolicy = { restartBackoff: { initialMs: 10_000, maxMs: 300_000, resetAfterMs: 600_000 } };
export const testStart = Date.parse('2026-01-01T00:00:00Z');

export function testPod(spec: Partial<PodSpec> = {}, metadata: Pod['metadata'] = {}): Pod {
  return {
    metadata: { name: 'web', namespace: 'default', uid: 'u1', ...metadata },
    spec: { containers: [{ name: 'app', image: 'app:1' }], ...spec },
  };
}

export function testContainer(fields: Partial<ObservedContainer> & { readonly name: string }): ObservedContainer {
  const id = fields.id ?? `${fields.name}-0`;
  const image = fields.image ?? 'app:1';
  return {
    id,
    containerId: `berth://${id}`,
    sandboxId: 's0',
    state: 'running',
    restartCount: 0,
    createdAt: testStart,
    startedAt: testStart,
    finishedAt: 0,
    exitCode: 0,
    reason: '',
    message: '',
    image,
    imageRef: 'sha256:1',
    hash: containerHash({ name: fields.name, image }),
    resources: undefined,
    user: undefined,
    mounts: [],
    logPath: '',
    ...fields,
  };
}

export function testSandbox(fields: Partial<ObservedSandbox> = {}): ObservedSandbox {
  return { id: 's0', attempt: 0, ready: true, createdAt: testStart, ips: ['10.0.0.2'], hostNetwork: false, ...fields };
}

/** A pod all of whose ground is laid: facts that a table changes where it needs to. */
export function testFacts(fields: Partial<PodFacts> = {}): PodFacts {
  return {
    runtime: { sandboxes: [], containers: [] },
    probes: new Map(),
    notes: new Map(),
    inFlight: new Map(),
    failures: new Map(),
    prepared: true,
    volumesMounted: true,
    volumesPresent: true,
    released: false,
    network: { ready: true, message: '' },
    agentStartedAt: testStart - 3_600_000,
    sourcesSynced: true,
    hostIps: ['192.0.2.1'],
    ...fields,
  };
}

export function testDesired(pod: Pod, fields: Partial<DesiredPod> = {}): DesiredPod {
  return { uid: (pod.metadata?.uid ?? 'u1') as PodUid, pod, static: false, ...fields };
}

export function inFlight(...steps: readonly Step[]): ReadonlyMap<string, Operation> {
  return new Map(steps.map((step) => [stepKey(step), { step, since: testStart, attempt: 1 }]));
}
