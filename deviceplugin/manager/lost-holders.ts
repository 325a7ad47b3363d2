import type { PodAdmission } from '../allocation/admission.js';
import type { DeviceWait } from '../allocation/wait-for-plugin.js';
import { DevicePluginError } from '../device-plugin-error.js';

export interface LostHoldersOptions {
  /** When the loss was found; milliseconds since the epoch. */
  readonly since: number;
  /** How long pods that run may take to be looked at: nothing is handed out meanwhile. */
  readonly settleMs: number;
  /** How long a pod waits for holders to end before it is refused. */
  readonly graceMs: number;
}

/**
 * Who holds what is lost: pods that run keep devices that nobody can name. None of such a resource is handed out before they have
 * ended, for any of them could be one that is in use.
 */
export class LostHolders {
  readonly #options: LostHoldersOptions;
  /** The resources each container holds unnamed devices of, by pod. */
  readonly #pods = new Map<string, ReadonlyMap<string, ReadonlySet<string>>>();
  readonly #names = new Map<string, string>();
  /** When a pod first asked in vain. */
  readonly #asked = new Map<string, number>();

  constructor(options: LostHoldersOptions) {
    this.#options = options;
  }

  get podUids(): readonly string[] {
    return [...this.#pods.keys()];
  }

  /** Takes down what the running containers of a pod hold, as far as `known` does not tell. */
  note(pod: PodAdmission, known: (container: string, resource: string) => boolean): void {
    const held = new Map(this.#pods.get(pod.uid));
    for (const { name, limits, running } of pod.containers) {
      if (running !== true || held.has(name)) continue;
      const resources = Object.keys(limits).filter((resource) => !known(name, resource));
      if (resources.length > 0) held.set(name, new Set(resources));
    }
    if (held.size === 0) return;
    this.#pods.set(pod.uid, held);
    this.#names.set(pod.uid, `${pod.namespace}/${pod.name}`);
  }

  /** Whether the pod may be given what it asks for. Throws when it waited long enough. */
  wait(pod: PodAdmission, now: number): DeviceWait | undefined {
    const wanted = pod.containers
      .filter(({ running }) => running !== true)
      .flatMap(({ limits }) => Object.keys(limits));
    const [resource] = wanted;
    if (resource === undefined) return undefined;
    const settled = this.#options.since + this.#options.settleMs;
    if (now < settled) {
      const reason =
        'which devices are in use was lost with the checkpoint, and pods that run are still being looked at';
      return { kind: 'wait', resource, until: settled + this.#options.graceMs, reason };
    }
    const held = wanted.find((each) => this.#holders(each).length > 0);
    if (held === undefined) return undefined;
    const asked = this.#asked.get(pod.uid) ?? now;
    this.#asked.set(pod.uid, asked);
    const until = asked + this.#options.graceMs;
    const reason = `which devices of ${held} are in use was lost with the checkpoint, none is handed out before these pods end: ${this.#holders(held).join(', ')}`;
    if (now >= until)
      throw new DevicePluginError(`allocate ${held}: ${reason}`, { code: 'holders-unknown', resource: held });
    return { kind: 'wait', resource: held, until, reason };
  }

  /** Throws for a container whose devices nobody can name: it would start without them. */
  checkStart(podUid: string, container: string): void {
    const [resource] = this.#pods.get(podUid)?.get(container) ?? [];
    if (resource === undefined) return;
    throw new DevicePluginError(
      `start container ${container} again: which devices of ${resource} it had was lost with the checkpoint, the pod has to be made anew`,
      { code: 'holders-unknown', resource },
    );
  }

  /** Returns the resources that may be free now. */
  release(podUid: string): readonly string[] {
    const resources = [...(this.#pods.get(podUid)?.values() ?? [])].flatMap((each) => [...each]);
    for (const map of [this.#pods, this.#names, this.#asked]) map.delete(podUid);
    return [...new Set(resources)];
  }

  #holders(resource: string): readonly string[] {
    return [...this.#pods]
      .filter(([, containers]) => [...containers.values()].some((resources) => resources.has(resource)))
      .map(([uid]) => this.#names.get(uid) ?? uid);
  }
}
