import { expect, test } from 'vitest';
import { checkClaim, claimsOfContainer, claimsOfPod, type ClaimingPod, type ResourceClaim } from './pod-claims.js';

const pod = (parts: Partial<ClaimingPod>): ClaimingPod => ({
  metadata: { uid: 'p', namespace: 'n', name: 'pod' },
  spec: {},
  ...parts,
});

const rich = pod({
  spec: {
    resourceClaims: [
      { name: 'named', resourceClaimName: 'claim-1' },
      { name: 'made', resourceClaimTemplateName: 't' },
      { name: 'needless', resourceClaimTemplateName: 't2' },
    ],
  },
  status: {
    resourceClaimStatuses: [{ name: 'made', resourceClaimName: 'pod-made-x' }, { name: 'needless' }],
    extendedResourceClaimStatus: {
      resourceClaimName: 'extended-1',
      requestMappings: [
        { containerName: 'c', resourceName: 'a.b/gpu', requestName: 'r0' },
        { containerName: 'other', resourceName: 'a.b/gpu', requestName: 'r1' },
      ],
    },
  },
});

test('claims by name, of templates, and behind extended resources', () => {
  expect(claimsOfPod(rich)).toEqual([
    { podClaim: 'named', claim: 'claim-1', mustBeOwned: false },
    { podClaim: 'made', claim: 'pod-made-x', mustBeOwned: true },
    { podClaim: undefined, claim: 'extended-1', mustBeOwned: false },
  ]);
});

test('of a container: whole claims, single requests, and its extended resources', () => {
  const container = { name: 'c', claims: [{ name: 'named' }, { name: 'made', request: 'big' }, { name: 'needless' }] };
  expect(claimsOfContainer(rich, container)).toEqual([
    { claim: 'claim-1', request: undefined, statusName: 'claim:named' },
    { claim: 'pod-made-x', request: 'big', statusName: 'claim:made/big' },
    { claim: 'extended-1', request: 'r0', statusName: undefined },
  ]);
});

test('a claim of a template that was not made yet', () => {
  const early = pod({ spec: { resourceClaims: [{ name: 'made', resourceClaimTemplateName: 't' }] } });
  expect(() => claimsOfPod(early)).toThrow(/not made from its template yet/);
  expect(claimsOfPod(early, 'leave-out')).toEqual([]);
});

const claim = (status: ResourceClaim['status'], owner?: string): ResourceClaim => ({
  metadata: {
    uid: 'u',
    name: 'claim-1',
    namespace: 'n',
    ...(owner === undefined ? {} : { ownerReferences: [{ uid: owner, controller: true }] }),
  },
  status,
});
const reservedFor = [{ uid: 'p' }];
const allocation = { devices: { results: [{ driver: 'a' }, { driver: 'b' }, { driver: 'a' }] } };

test('a good claim names its drivers once', () => {
  expect(checkClaim(claim({ reservedFor, allocation }, 'p'), 'p', true)).toEqual(['a', 'b']);
});

test.each([
  ['not-owned', claim({ reservedFor, allocation }, 'q'), true],
  ['not-owned', claim({ reservedFor, allocation }), true],
  ['not-reserved', claim({ reservedFor: [{ uid: 'q' }], allocation }), false],
  ['not-reserved', claim(undefined), false],
  ['not-allocated', claim({ reservedFor }), false],
])('%s', (code, bad, mustBeOwned) => {
  expect(() => checkClaim(bad, 'p', mustBeOwned)).toThrow(
    expect.objectContaining({ failure: { code, claim: 'claim-1' } }) as Error,
  );
});
