import { expect } from 'vitest';

/** On a shared machine a figure may be this many times its target without anything being wrong. */
const noise = 3;

/**
 * Holds a measured figure against its target: prints it, and fails when it is far off. With `BERTH_SPEED=1`, for a quiet machine, it fails
 * as soon as the target is missed.
 */
export function expectSpeed(what: string, figure: number, target: number): void {
  console.info(`${what}: ${figure.toFixed(2)}, target ${target}`);
  expect(figure, what).toBeLessThanOrEqual(process.env['BERTH_SPEED'] === '1' ? target : target * noise);
}
