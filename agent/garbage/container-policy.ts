/** A container that does not run, of any pod. Times are milliseconds since the epoch. */
export interface DeadContainer {
  readonly id: string;
  readonly podUid: string;
  readonly name: string;
  readonly createdAt: number;
}

export interface ContainerPolicy {
  /** Dead instances kept of each container; negative keeps all. */
  readonly maxPerPodContainer: number;
  /** Dead instances kept on the node; negative keeps all. */
  readonly maxContainers: number;
  readonly minAgeMs: number;
}

export const defaultContainerPolicy: ContainerPolicy = { maxPerPodContainer: 1, maxContainers: -1, minAgeMs: 0 };

/** What is known of the pod a container belongs to: `absent` once no source names it and it has ended. */
export type PodLife = 'alive' | 'ended' | 'absent';

export interface ContainerRemoval {
  readonly container: DeadContainer;
  readonly why: string;
}

/**
 * Which dead containers go (facts 11.7). `endedPodsToo`: the node is short of disk, so pods that ended give theirs up as well; their
 * statuses have told of them.
 */
export function planContainerRemoval(
  dead: readonly DeadContainer[],
  lifeOf: (podUid: string) => PodLife,
  policy: ContainerPolicy,
  now: number,
  endedPodsToo = false,
): readonly ContainerRemoval[] {
  const removals: ContainerRemoval[] = [];
  const groups = new Map<string, DeadContainer[]>();
  for (const container of dead) {
    if (now - container.createdAt < policy.minAgeMs) continue;
    const life = lifeOf(container.podUid);
    if (life === 'absent') removals.push({ container, why: 'its pod is gone' });
    else if (life === 'ended' && endedPodsToo)
      removals.push({ container, why: 'its pod has ended and the node is short of disk space' });
    else {
      const key = `${container.podUid}/${container.name}`;
      const group = groups.get(key);
      if (group) group.push(container);
      else groups.set(key, [container]);
    }
  }
  for (const group of groups.values()) group.sort(newestFirst);
  const { maxPerPodContainer, maxContainers } = policy;
  if (maxPerPodContainer >= 0)
    removals.push(...trim(groups, maxPerPodContainer, `more than ${maxPerPodContainer} dead instances are not kept`));
  removals.push(...trimTotal(groups, maxContainers));
  return removals;
}

function trim(groups: Map<string, DeadContainer[]>, keep: number, why: string): ContainerRemoval[] {
  return [...groups.values()].flatMap((group) => group.splice(keep).map((container) => ({ container, why })));
}

/** Over the node's limit every container gives up evenly, down to one; then the oldest go. */
function trimTotal(groups: Map<string, DeadContainer[]>, maxContainers: number): ContainerRemoval[] {
  const count = (): number => [...groups.values()].reduce((total, group) => total + group.length, 0);
  if (maxContainers < 0 || count() <= maxContainers) return [];
  const why = `more than ${maxContainers} dead containers on the node are not kept`;
  const each = Math.max(Math.floor(maxContainers / Math.max(groups.size, 1)), 1);
  const removals = trim(groups, each, why);
  const rest = [...groups.values()].flat().sort(newestFirst);
  return [...removals, ...rest.slice(maxContainers).map((container) => ({ container, why }))];
}

const newestFirst = (a: DeadContainer, b: DeadContainer): number => b.createdAt - a.createdAt;
