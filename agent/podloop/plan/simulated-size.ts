import { findContainer, type Container, type Pod, type ResourceRequirements } from '../../api/index.js';
import { containerChange } from '../../resources/resize/plan-resize.js';
import { hasResources, resourcesOf } from '../../resources/resize/pod-resources.js';
import type { ResizeFacts } from '../pod-facts.js';

/** For tests: what a pod's cgroup and its containers were given. */
export class SimulatedSize {
  readonly #given = new Map<string, ResourceRequirements>();
  #sizedFor: Pod | undefined;
  /** As the pod's cgroup is, which a new agent finds. */
  #cgroup: Pod | undefined;

  get facts(): ResizeFacts {
    return { given: { containers: this.#given, pod: undefined }, sizedFor: this.#sizedFor };
  }

  isSized(pod: Pod | undefined): boolean {
    return pod !== undefined && this.#cgroup !== undefined && hasResources(this.#cgroup, resourcesOf(pod));
  }

  needsRestart(pod: Pod | undefined, name: string): boolean {
    const found = pod && findContainer(pod, name);
    if (!found || found.kind === 'init' || found.kind === 'ephemeral') return false;
    return containerChange(this.facts.given, pod, found.container as Container)?.restart === true;
  }

  prepare(pod: Pod | undefined, runs: boolean): void {
    if (!runs) this.#cgroup = pod;
    this.#sizedFor = this.isSized(pod) ? pod : undefined;
  }

  give(pod: Pod | undefined, name: string): void {
    this.#given.set(name, (pod && findContainer(pod, name)?.container.resources) ?? {});
  }

  resize(pod: Pod | undefined, running: readonly string[]): void {
    this.#cgroup = pod;
    this.#sizedFor = pod;
    for (const name of running) if (!this.needsRestart(pod, name)) this.give(pod, name);
  }

  forget(): void {
    this.#sizedFor = undefined;
  }
}
