import { randomInt } from 'node:crypto';

/** Room above it for who counts on from the one it was given. */
const count = 1900;

/**
 * A port of the machine that leads into a pod, not one of the other lane of `npm test`. Above those of Kubernetes itself, below those that servers
 * of tests listen on and those that the kernel gives to whoever connects: what is sent there by others would end in the pod.
 */
export function mappedPort(): number {
  const first = process.env['BERTH_TEST_LANE'] === 'beside' ? 13_000 : 11_000;
  return randomInt(first, first + count);
}
