import type { OciSeccomp, OciSeccompArg, OciSyscall } from './oci-types.js';

/** The template form of containers-common and moby: rules that hold for some capabilities and architectures only. */
export interface SeccompTemplate {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number | undefined;
  readonly architectures?: readonly string[] | undefined;
  readonly archMap?: readonly SeccompArchMap[] | undefined;
  readonly flags?: readonly string[] | undefined;
  readonly listenerPath?: string | undefined;
  readonly syscalls?: readonly SeccompRule[] | undefined;
}

interface SeccompArchMap {
  readonly architecture: string;
  readonly subArchitectures?: readonly string[] | null | undefined;
}

export interface SeccompRule {
  readonly name?: string | undefined;
  readonly names?: readonly string[] | undefined;
  readonly action: string;
  readonly errnoRet?: number | undefined;
  readonly args?: readonly OciSeccompArg[] | null | undefined;
  readonly includes?: SeccompFilter | undefined;
  readonly excludes?: SeccompFilter | undefined;
}

export interface SeccompFilter {
  readonly caps?: readonly string[] | undefined;
  readonly arches?: readonly string[] | undefined;
  readonly minKernel?: string | undefined;
}

export interface SeccompHost {
  /** Node's `process.arch`. */
  readonly arch: string;
  /** `os.release()`: `6.1.0-13-amd64`. */
  readonly kernel: string;
}

const archNames: Readonly<Record<string, { readonly seccomp: string; readonly go: readonly string[] }>> = {
  x64: { seccomp: 'SCMP_ARCH_X86_64', go: ['amd64', 'x86', 'x32'] },
  arm64: { seccomp: 'SCMP_ARCH_AARCH64', go: ['arm64', 'arm'] },
  arm: { seccomp: 'SCMP_ARCH_ARM', go: ['arm'] },
  ia32: { seccomp: 'SCMP_ARCH_X86', go: ['x86'] },
  s390x: { seccomp: 'SCMP_ARCH_S390X', go: ['s390x', 's390'] },
  ppc64: { seccomp: 'SCMP_ARCH_PPC64LE', go: ['ppc64le'] },
  riscv64: { seccomp: 'SCMP_ARCH_RISCV64', go: ['riscv64'] },
};

/** Throws with the reason; the caller names the file. */
export function parseSeccompTemplate(text: string): SeccompTemplate {
  const parsed = JSON.parse(text) as unknown;
  if (typeof parsed !== 'object' || parsed === null) throw new Error('not an object');
  if (!('defaultAction' in parsed) || typeof parsed.defaultAction !== 'string') throw new Error('no defaultAction');
  if ('syscalls' in parsed && parsed.syscalls !== null && !Array.isArray(parsed.syscalls)) {
    throw new Error('syscalls is not a list');
  }
  return parsed as SeccompTemplate;
}

/** The filter for a container with these capabilities on this machine. */
export function translateSeccomp(
  template: SeccompTemplate,
  capabilities: readonly string[],
  host: SeccompHost,
): OciSeccomp {
  const caps = new Set(capabilities);
  const arch = archNames[host.arch];
  const syscalls = (template.syscalls ?? [])
    .filter((rule) => applies(rule, caps, arch?.go ?? [], host.kernel))
    .map((rule): OciSyscall => {
      const args = rule.args ?? [];
      return {
        names: rule.names ?? (rule.name === undefined ? [] : [rule.name]),
        action: rule.action,
        ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
        ...(args.length === 0 ? {} : { args }),
      };
    })
    .filter((rule) => rule.names.length > 0);
  return {
    defaultAction: template.defaultAction,
    ...(template.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: template.defaultErrnoRet }),
    ...architectures(template, arch?.seccomp),
    ...(template.flags === undefined ? {} : { flags: template.flags }),
    ...(template.listenerPath === undefined ? {} : { listenerPath: template.listenerPath }),
    syscalls,
  };
}

function architectures(template: SeccompTemplate, own: string | undefined): { architectures?: readonly string[] } {
  if (template.architectures !== undefined && template.architectures.length > 0) {
    return { architectures: template.architectures };
  }
  const entry = template.archMap?.find((map) => map.architecture === own);
  return entry === undefined ? {} : { architectures: [entry.architecture, ...(entry.subArchitectures ?? [])] };
}

function applies(rule: SeccompRule, caps: ReadonlySet<string>, arches: readonly string[], kernel: string): boolean {
  const { includes, excludes } = rule;
  // Only the machine's own name counts for `arches`; the sub-architectures come in through archMap.
  const own = arches[0] ?? '';
  if (excludes?.caps?.some((cap) => caps.has(cap))) return false;
  if (excludes?.arches?.includes(own)) return false;
  if (excludes?.minKernel !== undefined && atLeast(kernel, excludes.minKernel)) return false;
  if (includes?.caps !== undefined && !includes.caps.every((cap) => caps.has(cap))) return false;
  if (includes?.arches !== undefined && includes.arches.length > 0) {
    if (!includes.arches.some((name) => name === own)) return false;
  }
  return includes?.minKernel === undefined || atLeast(kernel, includes.minKernel);
}

function atLeast(kernel: string, wanted: string): boolean {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
