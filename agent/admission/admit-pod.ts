import { isCriticalPod, isStaticPod, podQosClass, type Pod, type Quantity, type Taint } from '../api/index.js';
import type { PressureCondition } from '../eviction/index.js';
import { chooseVictims } from './choose-victims.js';
import { hostPortClash } from './host-ports.js';
import { matchesNode } from './node-affinity.js';
import { amountOf, PodAmounts } from './pod-amounts.js';
import { sysctlProblem } from './sysctls.js';
import { tolerates, untolerated } from './taints.js';

export type Verdict =
  /** `preempt`: pods that must end so that this one fits; `shortOf`: of what there is too little otherwise. */
  | { readonly admitted: true; readonly preempt?: readonly Pod[] | undefined; readonly shortOf?: string | undefined }
  | { readonly admitted: false; readonly reason: string; readonly message: string };

export interface AdmissionNode {
  /** Empty where the node's name is not to be compared. */
  readonly nodeName?: string | undefined;
  readonly allocatable: Readonly<Record<string, Quantity>>;
  /** Undefined where nothing is known of them: a machine without a cluster takes every pod it is given. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly taints?: readonly Taint[] | undefined;
  readonly maxPods: number;
  readonly allowedUnsafeSysctls: readonly string[];
  readonly appArmor: boolean;
  /** The runtime can do `supplementalGroupsPolicy: Strict`; taken to be so where it is not told. */
  readonly supplementalGroupsPolicy?: boolean | undefined;
  readonly pressures?: ReadonlySet<PressureCondition> | undefined;
  readonly shuttingDown?: boolean | undefined;
  /** What pods request, worked out once for each. */
  readonly amounts?: PodAmounts | undefined;
}

type Check = (pod: Pod, active: readonly Pod[], node: AdmissionNode) => Verdict;

const admitted: Verdict = { admitted: true };
const refuse = (reason: string, message: string): Verdict => ({ admitted: false, reason, message });

/** The kubelet's admission chain for one pod beside those already active; the first that refuses is the reason (facts 1.2). */
export function admitPod(pod: Pod, active: readonly Pod[], node: AdmissionNode): Verdict {
  let room: Verdict | undefined;
  for (const check of checks) {
    const verdict = check(pod, active, node);
    if (!verdict.admitted) return verdict;
    if (verdict.preempt) room ??= verdict;
  }
  return room ?? admitted;
}

/** A node under pressure takes critical pods; short of memory only, also those that asked for some of it. */
const pressure: Check = (pod, _active, node) => {
  const felt = [...(node.pressures ?? [])];
  if (felt.length === 0 || isCriticalPod(pod)) return admitted;
  if (felt.length === 1 && felt[0] === 'MemoryPressure') {
    const taint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' } as const;
    const tolerated = (pod.spec?.tolerations ?? []).some((toleration) => tolerates(toleration, taint));
    if (podQosClass(pod) !== 'BestEffort' || tolerated) return admitted;
  }
  return refuse('Evicted', `The node had condition: [${felt.join(' ')}]. `);
};

const sysctls: Check = (pod, _active, node) => {
  const problem = sysctlProblem(pod, node.allowedUnsafeSysctls);
  return problem === undefined ? admitted : refuse('SysctlForbidden', problem);
};

const operatingSystem: Check = (pod) => {
  const wanted = pod.spec?.os?.name;
  if (wanted !== undefined && wanted !== 'linux') {
    return refuse('PodOSNotSupported', "Failed to admit pod as the OS field doesn't match node OS");
  }
  const label = pod.metadata?.labels?.['kubernetes.io/os'];
  if (label !== undefined && label !== 'linux') {
    return refuse(
      'PodOSSelectorNodeLabelDoesNotMatch',
      "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    );
  }
  return admitted;
};

const supplementalGroups: Check = (pod, _active, node) =>
  pod.spec?.securityContext?.supplementalGroupsPolicy === 'Strict' && node.supplementalGroupsPolicy === false
    ? refuse('SupplementalGroupsPolicyNotSupported', 'SupplementalGroupsPolicy=Strict is not supported in this node')
    : admitted;

/** Extended resources the node does not know are somebody else's; they do not count here. A critical pod makes itself room. */
const resources: Check = (pod, active, node) => {
  const amounts = node.amounts ?? new PodAmounts();
  const shortage = new Map<string, number>();
  let first: Verdict | undefined;
  for (const [name, wanted] of [['pods', 1] as const, ...amounts.of(pod)]) {
    const allocatable = name === 'pods' ? String(node.maxPods) : node.allocatable[name];
    if (allocatable === undefined || wanted <= 0) continue;
    const capacity = amountOf(name, allocatable);
    const used = active.reduce((sum, other) => sum + (amounts.of(other).get(name) ?? 0), 0);
    if (wanted <= capacity - used) continue;
    shortage.set(name, wanted - (capacity - used));
    first ??= refuse(
      `OutOf${name}`,
      `Node didn't have enough resource: ${name}, requested: ${wanted}, used: ${used}, capacity: ${capacity}`,
    );
  }
  if (!first || !isCriticalPod(pod)) return first ?? admitted;
  const preempt = chooseVictims(pod, active, shortage, amounts);
  if (preempt) return { admitted: true, preempt, shortOf: [...shortage.keys()][0] };
  return refuse(
    'UnexpectedAdmissionError',
    `Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: ${[...shortage].map(([name, amount]) => `(res: ${name}, q: ${amount})`).join(', ')}`,
  );
};

const nodeAffinity: Check = (pod, _active, { labels, nodeName = '' }) =>
  labels === undefined || matchesNode(pod, nodeName, labels)
    ? admitted
    : refuse('NodeAffinity', "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");

const nodeNamed: Check = (pod, _active, { nodeName = '' }) => {
  const wanted = pod.spec?.nodeName ?? '';
  return wanted === '' || nodeName === '' || wanted === nodeName
    ? admitted
    : refuse('NodeName', "Predicate NodeName failed: node(s) didn't match the requested node name");
};

const hostPorts: Check = (pod, active) =>
  hostPortClash(pod, active)
    ? refuse('NodePorts', "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
    : admitted;

const taints: Check = (pod, _active, node) =>
  isStaticPod(pod) || untolerated(pod, node.taints ?? [], 'NoExecute') === undefined
    ? admitted
    : refuse('TaintToleration', "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate");

/** A profile of the host's that is not there would only show when the container starts. */
const appArmor: Check = (pod, _active, node) => {
  if ((pod.status?.phase ?? 'Pending') !== 'Pending') return admitted;
  const profiles = [
    pod.spec?.securityContext,
    ...[...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].map((each) => each.securityContext),
  ].flatMap((context) => context?.appArmorProfile ?? []);
  const confined = profiles.filter(({ type }) => type !== 'Unconfined');
  if (confined.some(({ type, localhostProfile }) => type === 'Localhost' && !localhostProfile))
    return refuse('AppArmor', 'Cannot enforce AppArmor: localhost profile is empty');
  return confined.length === 0 || node.appArmor
    ? admitted
    : refuse('AppArmor', 'Cannot enforce AppArmor: AppArmor is not enabled on the host');
};

const shutdown: Check = (_pod, _active, node) =>
  node.shuttingDown === true ? refuse('NodeShutdown', 'Pod was rejected as the node is shutting down.') : admitted;

const checks: readonly Check[] = [
  pressure,
  sysctls,
  operatingSystem,
  supplementalGroups,
  resources,
  nodeAffinity,
  nodeNamed,
  hostPorts,
  taints,
  appArmor,
  shutdown,
];
