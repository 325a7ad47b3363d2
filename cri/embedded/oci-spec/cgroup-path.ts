import { scopeSubgroup } from '../../stats/inner-cgroup.js';

/** Where a container's cgroup is: in the words of the OCI runtime, and as the path below the hierarchy. */
export interface CgroupPath {
  /** `linux.cgroupsPath`. */
  readonly oci: string;
  /** Absolute below each controller's mount (v1) or the unified one (v2). */
  readonly path: string;
}

const fallbackParent = { cgroupfs: '/berth', systemd: 'berth.slice' } as const;

/** `parent` is what CRI's `cgroup_parent` holds: a path, or with the systemd driver a slice or the path of one. */
export function containerCgroup(driver: 'cgroupfs' | 'systemd', parent: string, id: string): CgroupPath {
  const given = parent === '' ? fallbackParent[driver] : parent;
  if (driver === 'cgroupfs') {
    const path = `${given.startsWith('/') ? '' : '/'}${given.replace(/\/+$/, '')}/${id}`;
    return { oci: path, path };
  }
  const slice = given.slice(given.lastIndexOf('/') + 1);
  return { oci: `${slice}:berth:${id}`, path: `${expandSlice(slice)}/berth-${id}.scope` };
}

/**
 * What a scope of systemd is told. crun writes limits itself: in the scope's own cgroup systemd would take them away with its next
 * reload, in one below it, which is delegated, it does not touch them. And a scope that ended badly is forgotten, or failed
 * units would pile up.
 */
export function scopeAnnotations(driver: 'cgroupfs' | 'systemd'): Readonly<Record<string, string>> {
  if (driver === 'cgroupfs') return {};
  return { 'run.oci.systemd.subgroup': scopeSubgroup, 'org.systemd.property.CollectMode': "'inactive-or-failed'" };
}

/** The path of the pod's own cgroup below the hierarchy; empty when the pod has none. */
export function podCgroup(driver: 'cgroupfs' | 'systemd', parent: string): string {
  if (parent === '') return '';
  if (driver === 'cgroupfs') return `${parent.startsWith('/') ? '' : '/'}${parent.replace(/\/+$/, '')}`;
  return expandSlice(parent.slice(parent.lastIndexOf('/') + 1));
}

/** `a-b.slice` lies in `/a.slice/a-b.slice`: each dash names a parent (systemd.slice(5)). */
export function expandSlice(slice: string): string {
  if (slice === '-.slice' || slice === '') return '';
  const parts = slice.replace(/\.slice$/, '').split('-');
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('-')}.slice`).join('');
}
