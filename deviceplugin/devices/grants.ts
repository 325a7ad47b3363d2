import type { ContainerAllocateResponse } from '../../proto/generated/deviceplugin-v1beta1.js';

/** The NUMA node of devices that have none, as the kubelet's checkpoint writes it. */
export const withoutNuma = -1;

/** Devices of one resource that one container holds. */
export interface Grant {
  readonly podUid: string;
  readonly container: string;
  readonly resource: string;
  /** Device ids by NUMA node; a device with several nodes is listed under each. */
  readonly byNuma: ReadonlyMap<number, readonly string[]>;
  /** What the plugin answered; undefined while it was not asked or has not answered: an intent. */
  readonly response: ContainerAllocateResponse | undefined;
}

export function grantedIds(grant: Grant): readonly string[] {
  return [...new Set([...grant.byNuma.values()].flat())];
}

const keyOf = (container: string, resource: string): string => `${container}\0${resource}`;

/** Who holds what. A device is held by at most one pod; containers of a pod may share one by the rules of reuse. */
export class Grants {
  readonly #pods = new Map<string, Map<string, Grant>>();

  get(podUid: string, container: string, resource: string): Grant | undefined {
    return this.#pods.get(podUid)?.get(keyOf(container, resource));
  }

  set(grant: Grant): void {
    const pod = this.#pods.get(grant.podUid) ?? new Map<string, Grant>();
    this.#pods.set(grant.podUid, pod);
    pod.set(keyOf(grant.container, grant.resource), grant);
  }

  delete(podUid: string, container: string, resource: string): void {
    const pod = this.#pods.get(podUid);
    pod?.delete(keyOf(container, resource));
    if (pod?.size === 0) this.#pods.delete(podUid);
  }

  /** Forgets a pod; returns what it held. */
  deletePod(podUid: string): readonly Grant[] {
    const held = this.ofPod(podUid);
    this.#pods.delete(podUid);
    return held;
  }

  podUids(): readonly string[] {
    return [...this.#pods.keys()];
  }

  ofPod(podUid: string): readonly Grant[] {
    return [...(this.#pods.get(podUid)?.values() ?? [])];
  }

  ofContainer(podUid: string, container: string): readonly Grant[] {
    return this.ofPod(podUid).filter((grant) => grant.container === container);
  }

  all(): readonly Grant[] {
    return [...this.#pods.values()].flatMap((pod) => [...pod.values()]);
  }

  /** Device ids of a resource that somebody holds, intents included. */
  inUse(resource: string): ReadonlySet<string> {
    const used = new Set<string>();
    for (const pod of this.#pods.values()) {
      for (const grant of pod.values()) {
        if (grant.resource !== resource) continue;
        for (const ids of grant.byNuma.values()) for (const id of ids) used.add(id);
      }
    }
    return used;
  }

  /** The pods that hold one of these devices. */
  holders(resource: string, ids: ReadonlySet<string>): readonly string[] {
    const pods = new Set<string>();
    for (const grant of this.all()) {
      if (grant.resource === resource && grantedIds(grant).some((id) => ids.has(id))) pods.add(grant.podUid);
    }
    return [...pods];
  }
}
