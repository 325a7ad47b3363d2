import { expect, test } from 'vitest';
import type { PodStatus } from '../../api/index.js';
import { statusPatch, unknownFields } from './status-patch.js';

const at = '2026-01-01T00:00:00Z';
const ready = (status: 'True' | 'False', reason?: string): NonNullable<PodStatus['conditions']>[number] => ({
  type: 'Ready',
  status,
  lastTransitionTime: at,
  ...(reason !== undefined && { reason }),
});

const base: PodStatus = { phase: 'Running', startTime: at, conditions: [ready('True')], podIPs: [{ ip: '10.0.0.1' }] };

test.each<[string, PodStatus | undefined, PodStatus, Record<string, unknown> | undefined]>([
  ['nothing to say is no write', base, { ...base }, undefined],
  [
    'what the server leaves out as empty is no change',
    base,
    { ...base, message: '', containerStatuses: [] },
    undefined,
  ],
  ['a changed field goes alone', base, { ...base, phase: 'Pending' }, { phase: 'Pending' }],
  ['a field that is gone is taken away', { ...base, reason: 'X' }, base, { reason: null }],
  [
    'what lasts is not',
    { ...base, qosClass: 'Burstable' },
    { phase: 'Running', conditions: base.conditions },
    { podIPs: null },
  ],
  ['the start time is told once', base, { ...base, startTime: '2027-01-01T00:00:00Z' }, undefined],
  [
    'addresses are replaced, not joined',
    base,
    { ...base, podIPs: [{ ip: '10.0.0.2' }] },
    { podIPs: [{ ip: '10.0.0.2' }, { $patch: 'replace' }] },
  ],
  [
    'amounts are replaced, not joined',
    { allocatedResources: { cpu: '1', memory: '2' }, resources: { requests: { cpu: '1' }, limits: { cpu: '1' } } },
    { allocatedResources: { cpu: '1' }, resources: { requests: { memory: '2' } } },
    {
      allocatedResources: { cpu: '1', memory: null },
      resources: { requests: { cpu: null, memory: '2' }, limits: null },
    },
  ],
  [
    'a condition drops the reason it had',
    { conditions: [ready('False', 'Why')] },
    { conditions: [ready('True')] },
    { conditions: [{ ...ready('True'), reason: null }] },
  ],
  [
    'conditions of others are not ours to write',
    { conditions: [{ type: 'example.com/x', status: 'True' }] },
    { conditions: [{ type: 'example.com/x', status: 'False' }] },
    undefined,
  ],
  [
    'a condition of ours that ended is deleted',
    { conditions: [{ type: 'PodResizePending', status: 'True' }] },
    { conditions: [] },
    { conditions: [{ type: 'PodResizePending', $patch: 'delete' }] },
  ],
  [
    'one that says who evicts the pod is not',
    { conditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    { conditions: [] },
    undefined,
  ],
  ['a terminal phase is never taken back', { phase: 'Failed' }, { phase: 'Running' }, undefined],
  ['the generation never falls', { observedGeneration: 3 }, { observedGeneration: 2 }, undefined],
  [
    'a pod without a status gets all',
    undefined,
    { phase: 'Pending', startTime: at },
    { phase: 'Pending', startTime: at },
  ],
])('%s', (_what, current, wanted, patch) => {
  expect(statusPatch(current, wanted)).toEqual(patch);
});

test('a static pod starts anew under one name', () => {
  expect(
    statusPatch(
      { phase: 'Failed', startTime: at },
      { phase: 'Running', startTime: '2027-01-01T00:00:00Z' },
      { mayRevive: true },
    ),
  ).toEqual({
    phase: 'Running',
    startTime: '2027-01-01T00:00:00Z',
  });
});

test('what a server dropped is known, and not written again', () => {
  const wanted: PodStatus = { ...base, allocatedResources: { cpu: '1' }, resources: { requests: { cpu: '1' } } };
  const patch = statusPatch(base, wanted) ?? {};
  expect(unknownFields(patch, base)).toEqual(['resources', 'allocatedResources']);
  expect(unknownFields(patch, wanted)).toEqual([]);
  const unknown = new Set(unknownFields(patch, base));
  expect(statusPatch(base, wanted, { mayRevive: false, unknown })).toBeUndefined();
});
