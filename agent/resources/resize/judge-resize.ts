import { amountOf, PodAmounts } from '../../admission/pod-amounts.js';
import {
  allContainers,
  computeQosClass,
  podQosClass,
  quantityValue,
  type Container,
  type Pod,
  type Quantity,
} from '../../api/index.js';
import { swapLimit, type SwapNode } from '../swap.js';
import { changedResources, needsRestart } from './pod-resources.js';

export interface ResizeNode {
  readonly allocatable: Readonly<Record<string, Quantity>>;
  /** Policies that give containers of Guaranteed pods CPUs or memory of their own, which cannot be exchanged while they run. */
  readonly exclusiveCpus: boolean;
  readonly exclusiveMemory: boolean;
  /** Absent on a machine without swap. */
  readonly swap?: SwapNode | undefined;
}

/** Whether the node can give a pod what its spec asks for now. */
export type ResizeVerdict =
  | { readonly kind: 'fits' }
  /** Not while the others hold what they hold. */
  | { readonly kind: 'Deferred'; readonly message: string }
  /** Not on this node. */
  | {
      readonly kind: 'Infeasible';
      readonly message: string;
      /** The kubelet's word for it in what it counts; what does not fit at all has none. */
      readonly detail?: string | undefined;
    };

const never = (message: string, detail?: string): ResizeVerdict => ({ kind: 'Infeasible', message, detail });

const exclusive = (manager: string, policy: string): string =>
  `Resize is infeasible for Guaranteed Pods alongside ${manager} Manager policy "${policy}"`;

/** The kubelet's checks of a resize (facts 4.5), `from` as allocated, `to` as wanted, beside what the other pods hold. */
export function judgeResize(
  from: Pod,
  to: Pod,
  others: readonly Pod[],
  node: ResizeNode,
  amounts = new PodAmounts(),
): ResizeVerdict {
  if (computeQosClass(to) !== podQosClass(from)) return never('Pod QOS Class may not change as a result of resizing');
  if (swapChanges(from, to, node.swap))
    return never('In-place resize of containers with swap is not supported.', 'swap_limitation');
  if (podQosClass(from) === 'Guaranteed') {
    const changed = changesOf(from, to);
    if (node.exclusiveCpus && changed.has('cpu'))
      return never(exclusive('CPU', 'static'), 'guaranteed_pod_cpu_manager_static_policy');
    if (node.exclusiveMemory && changed.has('memory'))
      return never(exclusive('Memory', 'Static'), 'guaranteed_pod_memory_manager_static_policy');
  }
  return fit(from, to, others, node, amounts);
}

function fit(
  from: Pod,
  to: Pod,
  others: readonly Pod[],
  { allocatable }: ResizeNode,
  amounts: PodAmounts,
): ResizeVerdict {
  let deferred: ResizeVerdict | undefined;
  for (const name of ['cpu', 'memory'] as const) {
    const there = allocatable[name];
    const wanted = amounts.of(to).get(name) ?? 0;
    // Who asks for no more than he has is not refused for what others took meanwhile.
    if (there === undefined || wanted <= (amounts.of(from).get(name) ?? 0)) continue;
    const capacity = amountOf(name, there);
    if (wanted > capacity)
      return never(`Node didn't have enough capacity: ${name}, requested: ${wanted}, capacity: ${capacity}`);
    const used = others.reduce((sum, other) => sum + (amounts.of(other).get(name) ?? 0), 0);
    if (wanted <= capacity - used) continue;
    const message = `Node didn't have enough resource: ${name}, requested: ${wanted}, used: ${used}, capacity: ${capacity}`;
    deferred ??= { kind: 'Deferred', message };
  }
  return deferred ?? { kind: 'fits' };
}

function changesOf(from: Pod, to: Pod): ReadonlySet<string> {
  return new Set(
    pairs(from, to).flatMap(([before, after]) => [...changedResources(before.resources, after.resources)]),
  );
}

function pairs(from: Pod, to: Pod): readonly (readonly [Container, Container])[] {
  const before = new Map(allContainers(from).map(({ container }) => [container.name, container]));
  return allContainers(to).flatMap(({ kind, container }) => {
    const old = before.get(container.name);
    return kind === 'ephemeral' || !old ? [] : [[old as Container, container as Container] as const];
  });
}

/** What a container may swap follows from its memory request, and is set once. */
function swapChanges(from: Pod, to: Pod, swap: SwapNode | undefined): boolean {
  if (!swap) return false;
  return pairs(from, to).some(([before, after]) => {
    const request = ({ resources }: Container): number => quantityValue(resources?.requests?.['memory'] ?? '0');
    if (request(before) === request(after) || needsRestart(before, new Set(['memory']))) return false;
    return swapLimit(from, before, swap) > 0 || swapLimit(to, after, swap) > 0;
  });
}
