import { describe, expect, test } from 'vitest';
import { parseSeccompTemplate, translateSeccomp, type SeccompTemplate } from './seccomp.js';

const host = { arch: 'x64', kernel: '6.1.0-13-amd64' };
const rule = (names: string[], more: object = {}): object => ({ names, action: 'SCMP_ACT_ALLOW', args: [], ...more });
const template = (...syscalls: object[]): SeccompTemplate =>
  parseSeccompTemplate(
    JSON.stringify({
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      archMap: [
        { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
        { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
      ],
      syscalls,
    }),
  );
const allowed = (caps: string[], ...rules: object[]): string[] =>
  (translateSeccomp(template(...rules), caps, host).syscalls ?? []).flatMap((found) => found.names);

describe('translateSeccomp', () => {
  test('defaults and architectures of this machine', () => {
    expect(translateSeccomp(template(), [], host)).toEqual({
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
      syscalls: [],
    });
    expect(translateSeccomp(template(), [], { ...host, arch: 'arm64' }).architectures).toEqual([
      'SCMP_ARCH_AARCH64',
      'SCMP_ARCH_ARM',
    ]);
  });

  test.each([
    ['without conditions', [], {}, true],
    ['a capability it has', ['CAP_BPF'], { includes: { caps: ['CAP_BPF'] } }, true],
    ['a capability it has not', [], { includes: { caps: ['CAP_BPF'] } }, false],
    ['excluded by a capability it has', ['CAP_BPF'], { excludes: { caps: ['CAP_BPF'] } }, false],
    ['excluded by one it has not', [], { excludes: { caps: ['CAP_BPF'] } }, true],
    ['this architecture', [], { includes: { arches: ['amd64'] } }, true],
    ['another architecture', [], { includes: { arches: ['s390x'] } }, false],
    ['excluded on this architecture', [], { excludes: { arches: ['amd64'] } }, false],
    ['an old enough kernel', [], { includes: { minKernel: '4.8' } }, true],
    ['a newer kernel than this', [], { includes: { minKernel: '6.2' } }, false],
    ['empty conditions, as the distribution writes them', [], { includes: {}, excludes: {} }, true],
  ] as const)('%s', (_name, caps, condition, expected) => {
    expect(allowed([...caps], rule(['bpf'], condition))).toEqual(expected ? ['bpf'] : []);
  });

  test('arguments and errno go along, conditions do not', () => {
    const args = [{ index: 0, value: 8, valueTwo: 0, op: 'SCMP_CMP_EQ' }];
    const [found] =
      translateSeccomp(template(rule(['personality'], { args, errnoRet: 1, comment: 'x' })), [], host).syscalls ?? [];
    expect(found).toEqual({ names: ['personality'], action: 'SCMP_ACT_ALLOW', args, errnoRet: 1 });
  });

  test('explicit architectures win over the map', () => {
    const own = { ...template(), architectures: ['SCMP_ARCH_X86_64'] };
    expect(translateSeccomp(own, [], host).architectures).toEqual(['SCMP_ARCH_X86_64']);
  });
});

test.each([
  ['', /JSON/],
  ['null', /not an object/],
  ['{}', /no defaultAction/],
  ['{"defaultAction":1}', /no defaultAction/],
  ['{"defaultAction":"a","syscalls":{}}', /not a list/],
])('refuses %j', (text, reason) => {
  expect(() => parseSeccompTemplate(text)).toThrow(reason);
});
