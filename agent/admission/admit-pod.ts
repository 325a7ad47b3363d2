import {
  compareQuantities,
  podRequests,
  subtractQuantities,
  addQuantities,
  type Pod,
  type Quantity,
} from '../api/index.js';
import { sysctlProblem } from './sysctls.js';

export type Verdict =
  { readonly admitted: true } | { readonly admitted: false; readonly reason: string; readonly message: string };

export interface AdmissionNode {
  readonly allocatable: Readonly<Record<string, Quantity>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly maxPods: number;
  readonly allowedUnsafeSysctls: readonly string[];
  readonly appArmor: boolean;
}

type Check = (pod: Pod, active: readonly Pod[], node: AdmissionNode) => Verdict;

const admitted: Verdict = { admitted: true };
const refuse = (reason: string, message: string): Verdict => ({ admitted: false, reason, message });

/** The kubelet's admission chain for one pod beside those already active; the first that refuses is the reason (facts 1.2). */
export function admitPod(pod: Pod, active: readonly Pod[], node: AdmissionNode): Verdict {
  for (const check of [sysctls, operatingSystem, podCount, resources, hostPorts, appArmor]) {
    const verdict = check(pod, active, node);
    if (!verdict.admitted) return verdict;
  }
  return admitted;
}

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

const podCount: Check = (_pod, active, node) =>
  active.length < node.maxPods
    ? admitted
    : refuse(
        'OutOfpods',
        `Node didn't have enough resource: pods, requested: 1, used: ${active.length}, capacity: ${node.maxPods}`,
      );

/** Extended resources the node does not know are somebody else's; they do not count here. */
const resources: Check = (pod, active, node) => {
  for (const [name, wanted] of Object.entries(podRequests(pod))) {
    const capacity = node.allocatable[name];
    if (capacity === undefined || compareQuantities(wanted, '0') <= 0) continue;
    const used = active.reduce<Quantity>((sum, other) => addQuantities(sum, podRequests(other)[name] ?? '0'), '0');
    if (compareQuantities(wanted, subtractQuantities(capacity, used)) > 0) {
      return refuse(
        `OutOf${name}`,
        `Node didn't have enough resource: ${name}, requested: ${wanted}, used: ${used}, capacity: ${capacity}`,
      );
    }
  }
  return admitted;
};

const hostPorts: Check = (pod, active) => {
  const wanted = hostPortsOf(pod);
  if (wanted.length === 0) return admitted;
  const taken = active.flatMap(hostPortsOf);
  const clash = wanted.some((port) =>
    taken.some((other) => port.port === other.port && port.protocol === other.protocol && overlap(port.ip, other.ip)),
  );
  return clash
    ? refuse('NodePorts', "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
    : admitted;
};

/** A profile of the host's that is not there would only show when the container starts. */
const appArmor: Check = (pod, _active, node) => {
  if (node.appArmor || (pod.status?.phase ?? 'Pending') !== 'Pending') return admitted;
  const profiles = [
    pod.spec?.securityContext,
    ...(pod.spec?.containers ?? []).map((container) => container.securityContext),
  ]
    .map((context) => context?.appArmorProfile?.type)
    .filter((type) => type !== undefined && type !== 'Unconfined');
  return profiles.length === 0
    ? admitted
    : refuse('AppArmor', 'Cannot enforce AppArmor: AppArmor is not enabled on the host');
};

interface HostPort {
  readonly port: number;
  readonly protocol: string;
  readonly ip: string;
}

function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter((container) => container.restartPolicy === 'Always');
  return [...(pod.spec?.containers ?? []), ...sidecars].flatMap((container) =>
    (container.ports ?? []).flatMap(({ hostPort, protocol = 'TCP', hostIP }) =>
      hostPort ? [{ port: hostPort, protocol, ip: hostIP || '0.0.0.0' }] : [],
    ),
  );
}

const overlap = (a: string, b: string): boolean => a === b || a === '0.0.0.0' || b === '0.0.0.0';
