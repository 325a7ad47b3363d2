import { podQosClass, podUidOf, type Pod, type PodUid, type QosClass } from '../../api/index.js';

export type CgroupDriver = 'cgroupfs' | 'systemd';

/** How the levels above containers are named (facts 4.1). Paths are absolute below the hierarchy. */
export interface CgroupNames {
  /** `kubepods` itself for Guaranteed, the tier's own cgroup for the others. */
  tier(qos: QosClass): string;
  pod(uid: PodUid, qos: QosClass): string;
  /** The pod a folder of a tier belongs to, undefined when it is something else. */
  uidOf(folder: string): PodUid | undefined;
}

export const qosClasses: readonly QosClass[] = ['Guaranteed', 'Burstable', 'BestEffort'];
const tiers: Readonly<Record<QosClass, string>> = { Guaranteed: '', Burstable: 'burstable', BestEffort: 'besteffort' };

export function cgroupNames(driver: CgroupDriver, root: string): CgroupNames {
  return driver === 'cgroupfs' ? cgroupfsNames(root) : systemdNames(root);
}

export function podCgroup(names: CgroupNames, pod: Pod): string {
  return names.pod(podUidOf(pod), podQosClass(pod));
}

function cgroupfsNames(root: string): CgroupNames {
  const base = `${root === '/' ? '' : root.replace(/\/+$/, '')}/kubepods`;
  const tier = (qos: QosClass): string => (tiers[qos] === '' ? base : `${base}/${tiers[qos]}`);
  return {
    tier,
    pod: (uid, qos) => `${tier(qos)}/pod${uid}`,
    uidOf: (folder) => (folder.startsWith('pod') ? (folder.slice('pod'.length) as PodUid) : undefined),
  };
}

/** Each dash of a slice's name names a parent, so the dashes of a UID become underscores. */
function systemdNames(root: string): CgroupNames {
  const above = root
    .split('/')
    .filter(Boolean)
    .map((part) => part.replace(/\.slice$/, '').replaceAll('-', '_'));
  const prefix = [...above, 'kubepods'].join('-');
  const sliceOf = (qos: QosClass): string => (tiers[qos] === '' ? prefix : `${prefix}-${tiers[qos]}`);
  return {
    tier: (qos) => expandSlice(`${sliceOf(qos)}.slice`),
    pod: (uid, qos) => expandSlice(`${sliceOf(qos)}-pod${uid.replaceAll('-', '_')}.slice`),
    uidOf: (folder) => {
      const own = /-pod([^-]+)\.slice$/.exec(folder)?.[1];
      return own === undefined ? undefined : (own.replaceAll('_', '-') as PodUid);
    },
  };
}

/** `a-b.slice` lies in `/a.slice/a-b.slice` (systemd.slice(5)). */
export function expandSlice(slice: string): string {
  const parts = slice.replace(/\.slice$/, '').split('-');
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('-')}.slice`).join('');
}

/** The name systemd knows a slice's path by. */
export const sliceOfPath = (cgroup: string): string => cgroup.slice(cgroup.lastIndexOf('/') + 1);
