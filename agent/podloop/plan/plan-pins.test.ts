import { expect, test } from 'vitest';
import { planPod } from './plan-pod.js';
import { testContainer, testDesired, testFacts, testPod, testPolicy, testSandbox, testStart } from '../pod-fixtures.js';

const linux = (cpusetCpus: string) => ({ linux: { cpusetCpus } });

test.each<[string, { wanted: string; runsOn: string; moved?: string; prepared?: boolean; running?: boolean }, boolean]>(
  [
    ['elsewhere', { wanted: '2-3', runsOn: '0-3' }, true],
    ['where it is', { wanted: '2-3', runsOn: '2-3' }, false],
    ['where it is, written another way', { wanted: '2-3', runsOn: '2,3' }, false],
    ['where this agent moved it', { wanted: '2-3', runsOn: '0-3', moved: '2-3' }, false],
    ['elsewhere, after it was moved', { wanted: '1-3', runsOn: '0-3', moved: '2-3' }, true],
    ['anywhere', { wanted: '', runsOn: '0-3' }, false],
    ['elsewhere, but it ended', { wanted: '2-3', runsOn: '0-3', running: false }, false],
    ['elsewhere, but what it is granted is not known yet', { wanted: '2-3', runsOn: '0-3', prepared: false }, false],
  ],
)('a container that is to run %s', (_name, { wanted, runsOn, moved, prepared = true, running = true }, isMoved) => {
  const container = testContainer({
    name: 'app',
    state: running ? 'running' : 'exited',
    resources: linux(runsOn),
  });
  const facts = testFacts({
    prepared,
    runtime: { sandboxes: [testSandbox()], containers: [container] },
    cpus: { wanted: new Map([['app', wanted]]), pinned: new Map(moved === undefined ? [] : [[container.id, moved]]) },
  });
  const { steps } = planPod(testDesired(testPod()), facts, testPolicy, testStart);
  expect(steps.some(({ kind }) => kind === 'pin-containers')).toBe(isMoved);
});

test('one that is ending is moved as well, until nothing of it runs', () => {
  const kinds = (state: 'running' | 'exited'): string[] => {
    const container = testContainer({ name: 'app', state, resources: linux('0-3') });
    const facts = testFacts({
      runtime: { sandboxes: [testSandbox()], containers: [container] },
      cpus: { wanted: new Map([['app', '2-3']]), pinned: new Map() },
    });
    const termination = { cause: 'deleted', since: testStart, graceSeconds: 600 } as const;
    return planPod(testDesired(testPod(), { termination }), facts, testPolicy, testStart).steps.map(({ kind }) => kind);
  };
  expect(kinds('running')).toEqual(expect.arrayContaining(['kill-container', 'pin-containers']));
  expect(kinds('exited')).not.toContain('pin-containers');
});
