import { expect, test } from 'vitest';
import { isCriCode } from './cri-error.js';
import { apparmorProfile, seccompProfile } from './security-profiles.js';

test.each([
  [undefined, undefined],
  [{}, undefined],
  [{ seccompProfilePath: '' }, undefined],
  [{ seccompProfilePath: 'unconfined' }, { profileType: 'Unconfined' }],
  [{ seccompProfilePath: 'runtime/default' }, { profileType: 'RuntimeDefault' }],
  [{ seccompProfilePath: 'localhost//var/p.json' }, { profileType: 'Localhost', localhostRef: '/var/p.json' }],
  [{ seccompProfilePath: 'localhost/var/p.json' }, { profileType: 'Localhost', localhostRef: '/var/p.json' }],
  [{ seccomp: { profileType: 'Unconfined' }, seccompProfilePath: 'runtime/default' }, { profileType: 'Unconfined' }],
  // An empty message is the first value of the enum.
  [{ seccomp: {}, seccompProfilePath: 'unconfined' }, {}],
] as const)('seccomp: %j is %j', (asked, expected) => {
  expect(seccompProfile(asked)).toEqual(expected);
});

test.each([
  [{ apparmorProfile: '' }, undefined],
  [{ apparmorProfile: 'unconfined' }, { profileType: 'Unconfined' }],
  [{ apparmorProfile: 'runtime/default' }, { profileType: 'RuntimeDefault' }],
  [{ apparmorProfile: 'localhost/own' }, { profileType: 'Localhost', localhostRef: 'own' }],
  [
    { apparmor: { profileType: 'Localhost', localhostRef: 'new' }, apparmorProfile: 'unconfined' },
    { localhostRef: 'new' },
  ],
] as const)('AppArmor: %j is %j', (asked, expected) => {
  if (expected === undefined) expect(apparmorProfile(asked)).toBeUndefined();
  else expect(apparmorProfile(asked)).toMatchObject(expected);
});

test('a profile that nobody knows is refused', () => {
  const refused = (err: unknown): boolean => isCriCode(err, 'invalid-argument');
  expect(() => seccompProfile({ seccompProfilePath: 'mine' })).toThrow(expect.toSatisfy(refused));
  expect(() => apparmorProfile({ apparmorProfile: 'mine' })).toThrow(expect.toSatisfy(refused));
});
