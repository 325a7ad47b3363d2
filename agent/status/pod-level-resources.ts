import { podLimits, podRequests, type Pod, type PodStatus, type ResourceList } from '../api/index.js';
import type { PodView } from '../podloop/pod-view.js';

/** What the pod's cgroup is made of. */
const ofCgroup = ['cpu', 'memory'];

/**
 * What the pod as a whole is promised, and what it has: the same except while it is resized. While it runs, amounts that its cgroup knows
 * nothing of are told only where the pod names them for itself, as the kubelet does.
 */
export function podLevelResources(
  { pod, facts }: PodView,
  isRunning: boolean,
): Pick<PodStatus, 'resources' | 'allocatedResources'> {
  const sized = facts.resize?.sizedFor ?? pod;
  const { requests: ownRequests = {}, limits: ownLimits = {} } = pod.spec?.resources ?? {};
  const shown = (own: ResourceList, of: (pod: Pod) => ResourceList): ResourceList => {
    const has = of(sized);
    if (!isRunning) return has;
    const cgroup = Object.entries(has).filter(([name]) => ofCgroup.includes(name));
    return { ...own, ...Object.fromEntries(cgroup) };
  };
  const requests = shown(ownRequests, podRequests);
  const limits = shown(ownLimits, podLimits);
  const allocated = podRequests(pod);
  return {
    ...(some(requests, limits) && {
      resources: { ...(some(requests) && { requests }), ...(some(limits) && { limits }) },
    }),
    ...(some(allocated) && { allocatedResources: allocated }),
  };
}

const some = (...lists: readonly ResourceList[]): boolean => lists.some((list) => Object.keys(list).length > 0);
