import { expect, test } from 'vitest';
import { withoutNewNamespaces } from './seccomp-namespaces.js';
import { translateSeccomp, type SeccompTemplate } from './seccomp.js';

const host = { arch: 'x64', kernel: '6.1.0' };
const podman: SeccompTemplate = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 38,
  syscalls: [
    { names: ['read', 'clone', 'clone3', 'unshare', 'write'], action: 'SCMP_ACT_ALLOW', args: [] },
    { name: 'unshare', action: 'SCMP_ACT_ALLOW' },
  ],
};
const rulesOf = (template: SeccompTemplate, name: string, caps: readonly string[]): string[] =>
  (translateSeccomp(withoutNewNamespaces(template, host.arch), caps, host).syscalls ?? [])
    .filter((rule) => rule.names.includes(name))
    .map(({ action, errnoRet = '', args = [] }) =>
      [action, errnoRet, ...args.map(({ index, value, valueTwo }) => `${index} ${value.toString(16)} ${valueTwo}`)]
        .join(' ')
        .trim(),
    );

test('a profile that lets anybody make namespaces lets only CAP_SYS_ADMIN', () => {
  expect(rulesOf(podman, 'unshare', [])).toEqual(['SCMP_ACT_ERRNO 1']);
  expect(rulesOf(podman, 'clone3', [])).toEqual(['SCMP_ACT_ERRNO 38']);
  const [threads, ...refused] = rulesOf(podman, 'clone', []);
  expect(threads).toBe('SCMP_ACT_ALLOW  0 7e020000 0');
  expect(refused).toHaveLength(7);
  expect(refused).toContain('SCMP_ACT_ERRNO 1 0 10000000 268435456');
  for (const name of ['clone', 'clone3', 'unshare'])
    expect(rulesOf(podman, name, ['CAP_SYS_ADMIN'])).toEqual(['SCMP_ACT_ALLOW']);
  expect(rulesOf(podman, 'write', [])).toEqual(['SCMP_ACT_ALLOW']);
});

test('one architecture has the flags of clone elsewhere', () => {
  const { syscalls = [] } = withoutNewNamespaces(podman, 's390x');
  const places = syscalls.flatMap(({ args }) => (args ?? []).map(({ index }) => index));
  expect(new Set(places)).toEqual(new Set([1]));
});

test('a profile that says who may is left as it is', () => {
  const own: SeccompTemplate = {
    defaultAction: 'SCMP_ACT_ERRNO',
    syscalls: [
      { names: ['read'], action: 'SCMP_ACT_ALLOW' },
      { names: ['clone', 'unshare'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
      { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 1, valueTwo: 0, op: 'SCMP_CMP_EQ' }] },
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
    ],
  };
  expect(withoutNewNamespaces(own, 'x64')).toBe(own);
});
