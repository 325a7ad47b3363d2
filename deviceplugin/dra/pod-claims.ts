import { DraError } from './dra-error.js';

/** The parts of a Pod that name its claims. */
export interface ClaimingPod {
  readonly metadata: { readonly uid: string; readonly namespace: string; readonly name: string };
  readonly spec: {
    readonly resourceClaims?:
      | ReadonlyArray<{
          readonly name: string;
          readonly resourceClaimName?: string | undefined;
          readonly resourceClaimTemplateName?: string | undefined;
        }>
      | undefined;
  };
  readonly status?:
    | {
        readonly resourceClaimStatuses?:
          ReadonlyArray<{ readonly name: string; readonly resourceClaimName?: string | undefined }> | undefined;
        readonly extendedResourceClaimStatus?:
          | {
              readonly resourceClaimName: string;
              readonly requestMappings: ReadonlyArray<{
                readonly containerName: string;
                readonly resourceName: string;
                readonly requestName: string;
              }>;
            }
          | undefined;
      }
    | undefined;
}

/** The parts of a container that name the claims it uses. */
export interface ClaimingContainer {
  readonly name: string;
  readonly claims?: ReadonlyArray<{ readonly name: string; readonly request?: string | undefined }> | undefined;
}

/** The parts of a ResourceClaim that matter on a node. */
export interface ResourceClaim {
  readonly metadata: {
    readonly uid: string;
    readonly name: string;
    readonly namespace: string;
    readonly ownerReferences?: ReadonlyArray<{ readonly uid: string; readonly controller?: boolean | undefined }>;
  };
  readonly status?:
    | {
        readonly allocation?:
          | {
              readonly devices?:
                { readonly results?: ReadonlyArray<{ readonly driver: string }> | undefined } | undefined;
            }
          | undefined;
        readonly reservedFor?: ReadonlyArray<{ readonly uid: string }> | undefined;
      }
    | undefined;
}

export interface PodClaim {
  /** Its name in the pod; undefined for the claim behind extended resources. */
  readonly podClaim: string | undefined;
  /** The name of the ResourceClaim. */
  readonly claim: string;
  /** Made from a template for one pod: the pod must own it. */
  readonly mustBeOwned: boolean;
}

/**
 * The claims of a pod. One of a template that the control plane has not made yet throws `claim-not-created`, or is left
 * out.
 */
export function claimsOfPod(pod: ClaimingPod, notCreated: 'throw' | 'leave-out' = 'throw'): readonly PodClaim[] {
  const claims: PodClaim[] = [];
  for (const { name, resourceClaimName, resourceClaimTemplateName } of pod.spec.resourceClaims ?? []) {
    if (resourceClaimName !== undefined) {
      claims.push({ podClaim: name, claim: resourceClaimName, mustBeOwned: false });
    } else if (resourceClaimTemplateName !== undefined) {
      const status = pod.status?.resourceClaimStatuses?.find((each) => each.name === name);
      if (status === undefined) {
        if (notCreated === 'leave-out') continue;
        throw new DraError(`find the ResourceClaim "${name}" of the pod: not made from its template yet`, {
          code: 'claim-not-created',
          podClaim: name,
        });
      }
      // Without a name the control plane decided that none is needed.
      if (status.resourceClaimName !== undefined) {
        claims.push({ podClaim: name, claim: status.resourceClaimName, mustBeOwned: true });
      }
    }
  }
  const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  if (extended !== undefined) claims.push({ podClaim: undefined, claim: extended, mustBeOwned: false });
  return claims;
}

/** One claim a container uses: all of it, or one of its requests. */
export interface ContainerClaim {
  readonly claim: string;
  readonly request: string | undefined;
  /** `claim:<name>[/<request>]`, as the container's status names it; undefined behind extended resources. */
  readonly statusName: string | undefined;
}

export function claimsOfContainer(
  pod: ClaimingPod,
  container: ClaimingContainer,
  notCreated: 'throw' | 'leave-out' = 'throw',
): readonly ContainerClaim[] {
  const ofPod = new Map(claimsOfPod(pod, notCreated).map((claim) => [claim.podClaim, claim.claim]));
  const claims = (container.claims ?? []).flatMap(({ name, request }): ContainerClaim[] => {
    const claim = ofPod.get(name);
    if (claim === undefined) return [];
    const wanted = request === '' ? undefined : request;
    return [{ claim, request: wanted, statusName: wanted === undefined ? `claim:${name}` : `claim:${name}/${wanted}` }];
  });
  const extended = pod.status?.extendedResourceClaimStatus;
  for (const mapping of extended?.requestMappings ?? []) {
    if (mapping.containerName !== container.name || extended === undefined) continue;
    claims.push({ claim: extended.resourceClaimName, request: mapping.requestName, statusName: undefined });
  }
  return claims;
}

/** Whether this pod may use the claim; returns the drivers that provide its devices. */
export function checkClaim(claim: ResourceClaim, podUid: string, mustBeOwned: boolean): readonly string[] {
  const { name } = claim.metadata;
  const owners = claim.metadata.ownerReferences ?? [];
  if (mustBeOwned && !owners.some((owner) => owner.uid === podUid && owner.controller === true)) {
    throw new DraError(`use ResourceClaim ${name}: it was not made for this pod`, { code: 'not-owned', claim: name });
  }
  if (!(claim.status?.reservedFor ?? []).some((consumer) => consumer.uid === podUid)) {
    throw new DraError(`use ResourceClaim ${name}: it is not reserved for this pod`, {
      code: 'not-reserved',
      claim: name,
    });
  }
  const { allocation } = claim.status ?? {};
  if (allocation === undefined) {
    throw new DraError(`use ResourceClaim ${name}: it is not allocated`, { code: 'not-allocated', claim: name });
  }
  return [...new Set((allocation.devices?.results ?? []).map((result) => result.driver))];
}
