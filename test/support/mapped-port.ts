import { randomInt } from 'node:crypto';

/**
 * A port of the machine that leads into a pod. Above those of Kubernetes itself, below those that servers of tests listen on and those that the kernel gives to whoever connects:
 * what is sent there by others would end in the pod.
 */
export const mappedPort = (): number => randomInt(11_000, 15_000);
