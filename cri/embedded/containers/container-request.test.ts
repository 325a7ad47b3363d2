import { expect, test } from 'vitest';
import { clampRlimits } from './container-bundle.js';
import { matches } from './container-status.js';
import { deviceNumber } from './container-devices.js';
import { selinuxLabels } from './container-security.js';

test.each([
  [undefined, true],
  [{}, true],
  [{ id: 'abc' }, true],
  [{ id: 'bcd' }, false],
  [{ podSandboxId: 'sand' }, true],
  [{ podSandboxId: 'other' }, false],
  [{ labelSelector: { a: '1' } }, true],
  [{ labelSelector: { a: '1', b: '2' } }, true],
  [{ labelSelector: { a: '2' } }, false],
  [{ labelSelector: { c: '' } }, false],
])('matches(%j) is %j', (filter, expected) => {
  expect(matches({ id: 'abcdef', sandboxId: 'sandbox', labels: { a: '1', b: '2' } }, filter)).toBe(expected);
});

test('rlimits are cut to the hard limits that cannot be raised', () => {
  const wanted = [{ type: 'RLIMIT_NOFILE', soft: 500, hard: 1_000_000 }];
  expect(clampRlimits([], { RLIMIT_NOFILE: 1024 })).toBeUndefined();
  expect(clampRlimits(wanted, {})).toEqual(wanted);
  expect(clampRlimits(wanted, { RLIMIT_NOFILE: 1024 })).toEqual([{ type: 'RLIMIT_NOFILE', soft: 500, hard: 1024 }]);
});

test('device numbers above 255', () => {
  expect(deviceNumber(0x103n)).toEqual({ major: 1, minor: 3 });
  expect(deviceNumber(0x10_0000n | 0x800n)).toEqual({ major: 8, minor: 256 });
  expect(deviceNumber(BigInt(259) << 8n)).toEqual({ major: 259, minor: 0 });
});

test('SELinux labels: only where it is on and asked for', () => {
  const options = { level: 's0:c1,c2' };
  expect(selinuxLabels(false, options, false)).toEqual({ process: '', mount: '' });
  expect(selinuxLabels(true, options, true)).toEqual({ process: '', mount: '' });
  expect(selinuxLabels(true, options, false)).toEqual({
    process: 'system_u:system_r:container_t:s0:c1,c2',
    mount: 'system_u:object_r:container_file_t:s0:c1,c2',
  });
});
