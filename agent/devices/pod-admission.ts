import type { ClaimingPod, ContainerRequest, PodAdmission } from '../../deviceplugin/index.js';
import { isExtendedResource } from '../../deviceplugin/index.js';
import { allContainers, podUidOf, quantityValue, type Pod } from '../api/index.js';

/** The pod as the device manager is asked for it; undefined when it wants no devices. `running` names its running containers. */
export function podAdmission(pod: Pod, running: ReadonlySet<string>): PodAdmission | undefined {
  const containers = allContainers(pod).flatMap(({ kind, container }): ContainerRequest[] => {
    if (kind === 'ephemeral') return [];
    const limits = deviceLimits(pod, container.name, container.resources?.limits ?? {});
    return [{ name: container.name, kind, limits, running: isServed(pod, kind, container.name, running) }];
  });
  if (containers.every(({ limits }) => Object.keys(limits).length === 0)) return undefined;
  const { name = '', namespace = 'default' } = pod.metadata ?? {};
  return { uid: podUidOf(pod), namespace, name, containers };
}

/** Whether the pod's containers want devices at all, of a plugin or of a claim. */
export function wantsDevices(pod: Pod): boolean {
  return claimsAnything(pod) || podAdmission(pod, new Set()) !== undefined;
}

export function claimsAnything({ spec, status }: Pod): boolean {
  return (spec?.resourceClaims ?? []).length > 0 || status?.extendedResourceClaimStatus !== undefined;
}

/** The parts of a pod that dynamic resource allocation reads. */
export function claimingPod(pod: Pod): ClaimingPod {
  const { name = '', namespace = 'default' } = pod.metadata ?? {};
  const { resourceClaims } = pod.spec ?? {};
  return { metadata: { uid: podUidOf(pod), namespace, name }, spec: { resourceClaims }, status: pod.status };
}

function deviceLimits(
  pod: Pod,
  container: string,
  limits: Readonly<Record<string, string | number>>,
): Record<string, number> {
  const claimed = new Set(
    (pod.status?.extendedResourceClaimStatus?.requestMappings ?? [])
      .filter(({ containerName }) => containerName === container)
      .map(({ resourceName }) => resourceName),
  );
  return Object.fromEntries(
    Object.entries(limits)
      .filter(([name]) => isExtendedResource(name) && !claimed.has(name))
      .map(([name, amount]): [string, number] => [name, quantityValue(amount)])
      .filter(([, count]) => count > 0),
  );
}

/** A container that runs has its devices, and so has an init container that has made way for one that runs. */
function isServed(pod: Pod, kind: string, name: string, running: ReadonlySet<string>): boolean {
  if (running.has(name)) return true;
  return kind === 'init' && (pod.spec?.containers ?? []).some((container) => running.has(container.name));
}
