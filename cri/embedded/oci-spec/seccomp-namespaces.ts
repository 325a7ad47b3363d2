import type { OciSeccompArg } from './oci-types.js';
import type { SeccompRule, SeccompTemplate } from './seccomp.js';

/** clone(2). A new time namespace is not among them: its bit is another thing to this call. */
const namespaceFlags = {
  CLONE_NEWNS: 0x00020000,
  CLONE_NEWCGROUP: 0x02000000,
  CLONE_NEWUTS: 0x04000000,
  CLONE_NEWIPC: 0x08000000,
  CLONE_NEWUSER: 0x10000000,
  CLONE_NEWPID: 0x20000000,
  CLONE_NEWNET: 0x40000000,
} as const;
const flags = Object.values(namespaceFlags);

const makers: ReadonlySet<string> = new Set(['clone', 'clone3', 'unshare']);
const admin = ['CAP_SYS_ADMIN'];
const eperm = 1;
const enosys = 38;

/**
 * The distribution's profile is made for Podman, which runs itself in containers: it lets anybody make namespaces, of users too, and with
 * that reach kernel code that root alone was meant to reach. Kubernetes' RuntimeDefault forbids that with containerd, CRI-O and Docker, and
 * so here. A profile that says itself who may is left as it is.
 */
export function withoutNewNamespaces(template: SeccompTemplate, arch: string): SeccompTemplate {
  const rules = template.syscalls ?? [];
  if (!rules.some((rule) => namesOf(rule).some((name) => letsAnybody(rule, name)))) return template;
  const kept = rules.map((rule): SeccompRule => {
    const { name: _one, ...more } = rule;
    return { ...more, names: namesOf(rule).filter((name) => !letsAnybody(rule, name)) };
  });
  // The one architecture whose clone has its arguments the other way round.
  const index = arch === 's390x' ? 1 : 0;
  return { ...template, syscalls: [...kept, ...closed(index)] };
}

const namesOf = (rule: SeccompRule): readonly string[] => rule.names ?? (rule.name === undefined ? [] : [rule.name]);

function letsAnybody({ action, args, includes }: SeccompRule, name: string): boolean {
  if (!makers.has(name) || action !== 'SCMP_ACT_ALLOW' || (args ?? []).length > 0) return false;
  return includes?.caps?.includes('CAP_SYS_ADMIN') !== true;
}

function closed(index: number): SeccompRule[] {
  const masked = (value: number, valueTwo: number): readonly OciSeccompArg[] => [
    { index, value, valueTwo, op: 'SCMP_CMP_MASKED_EQ' },
  ];
  const any = flags.reduce((all, flag) => all + flag, 0);
  const others = { excludes: { caps: admin } };
  return [
    { names: [...makers], action: 'SCMP_ACT_ALLOW', includes: { caps: admin } },
    { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: masked(any, 0), ...others },
    ...flags.map((flag): SeccompRule => ({
      ...{ names: ['clone'], action: 'SCMP_ACT_ERRNO', errnoRet: eperm },
      args: masked(flag, flag),
      ...others,
    })),
    { names: ['unshare'], action: 'SCMP_ACT_ERRNO', errnoRet: eperm, ...others },
    // Its flags are in memory, where no filter looks: told that it is not there, the C library takes clone.
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: enosys, ...others },
  ];
}
