import { hash } from 'node:crypto';
import { goBytes, goChecksum } from '../../base/go-dump.js';
import type { Container, EphemeralContainer, Pod } from './generated/types.js';

export type ContainerKind = 'init' | 'sidecar' | 'regular' | 'ephemeral';

/** A container of any kind, with where it stands in the spec. */
export interface PodContainer {
  readonly kind: ContainerKind;
  readonly container: Container | EphemeralContainer;
  /** Its place in its own list. */
  readonly index: number;
  /** `spec.initContainers[0]`: the start of field paths and of event object references. */
  readonly path: string;
}

/** True for an init container that keeps running beside the regular ones. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/** Init containers and sidecars in start order, then the regular ones, then the ephemeral ones. */
export function allContainers(pod: Pod): PodContainer[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {};
  return [
    ...initContainers.map((container, index): PodContainer => {
      return {
        kind: isSidecar(container) ? 'sidecar' : 'init',
        container,
        index,
        path: `spec.initContainers[${index}]`,
      };
    }),
    ...containers.map((container, index): PodContainer => {
      return { kind: 'regular', container, index, path: `spec.containers[${index}]` };
    }),
    ...ephemeralContainers.map((container, index): PodContainer => {
      return { kind: 'ephemeral', container, index, path: `spec.ephemeralContainers[${index}]` };
    }),
  ];
}

export function findContainer(pod: Pod, name: string): PodContainer | undefined {
  return allContainers(pod).find(({ container }) => container.name === name);
}

type Hashed = Pick<Container, 'name' | 'image'>;

/**
 * What must stay equal for a running container to be kept: name and image, as in the kubelet, and hashed as it does: a node that goes from
 * one to the other keeps its containers. Everything else of a container is immutable in the API or changed in place.
 */
export function containerHash({ name, image = '' }: Hashed): string {
  return goChecksum(goBytes(Buffer.from(JSON.stringify({ image, name })))).toString(16);
}

/** Whether a container that carries this hash was made of the same name and image. Earlier versions of berth had a hash of their own. */
export function isHashOf(container: Hashed, carried: string): boolean {
  if (carried === containerHash(container)) return true;
  return carried === hash('sha256', JSON.stringify([container.name, container.image ?? ''])).slice(0, 8);
}
