import { expect, test } from 'vitest';
import type { ContainerRequest, PodAdmission } from '../allocation/admission.js';
import { Grants } from '../devices/grants.js';
import { newEntry } from '../devices/resource-table.js';
import { containerHints, podHints, podRequest, type HintDeps } from './manager-hints.js';

const gpu = 'a.com/gpu';
const of = (name: string, kind: ContainerRequest['kind'], count: number): ContainerRequest => {
  return { name, kind, limits: { [gpu]: count } };
};
const podOf = (...containers: ContainerRequest[]): PodAdmission => {
  return { uid: 'u', namespace: 'n', name: 'p', containers };
};

function depsOf(held: Readonly<Record<string, readonly string[]>> = {}): HintDeps {
  const devices = new Map(
    ['a0', 'a1', 'b0', 'b1'].map((id) => [id, { id, healthy: true, numaNodes: [id.startsWith('a') ? 0 : 1] }]),
  );
  const grants = new Grants();
  for (const [container, ids] of Object.entries(held))
    grants.set({ podUid: 'u', container, resource: gpu, byNuma: new Map([[0, ids]]), response: undefined });
  const entry = { ...newEntry(gpu, { kind: 'ready' }), devices };
  return { numaNodes: [0, 1], grants, entry: (name) => (name === gpu ? entry : undefined) };
}

test.each<[string, ContainerRequest[], number]>([
  ['regular containers add up', [of('a', 'regular', 1), of('b', 'regular', 2)], 3],
  ['init containers make room', [of('i', 'init', 3), of('a', 'regular', 1)], 3],
  ['sidecars stay beside what follows', [of('s', 'sidecar', 1), of('i', 'init', 2), of('a', 'regular', 1)], 3],
  ['a sidecar after an init container', [of('i', 'init', 3), of('s', 'sidecar', 1), of('a', 'regular', 1)], 3],
])('%s', (_what, containers, total) => {
  expect(podRequest(containers)).toEqual({ [gpu]: total });
});

test('a pod as a whole has hints for all its containers together', () => {
  const pod = podOf(of('a', 'regular', 1), of('b', 'regular', 2));
  expect(podHints(pod, depsOf()).get(gpu)).toEqual([{ numaNodes: [0, 1], preferred: true }]);
  expect(containerHints(pod, 'b', depsOf()).get(gpu)?.[0]).toEqual({ numaNodes: [0], preferred: true });
});

test('what is held already decides', () => {
  const pod = podOf(of('a', 'regular', 1), of('b', 'regular', 1));
  expect(podHints(pod, depsOf({ a: ['a0'], b: ['a1'] })).get(gpu)?.[0]).toEqual({ numaNodes: [0], preferred: true });
  expect(podHints(pod, depsOf({ a: ['a0'] })).get(gpu)).toEqual([]);
  expect(podHints(podOf(of('a', 'regular', 0)), depsOf()).size).toBe(0);
});
