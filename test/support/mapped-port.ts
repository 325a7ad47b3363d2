import { randomInt } from 'node:crypto';

/**
 * A port of the machine that leads into a pod. Below those that servers of tests listen on and those that the kernel gives to whoever connects:
 * what is sent there by others would end in the pod.
 */
export const mappedPort = (): number => randomInt(10_000, 15_000);
