import { signalFacts, type Observations } from './signals.js';
import { amountOf, type Threshold } from './thresholds.js';

/** What was left of everything at one moment. */
export interface TimedLook {
  /** ms. */
  readonly at: number;
  readonly observations: Observations;
}

const quickMs = 1000;
/** Memory and processes this close to their threshold are watched more often. */
const nearFactor = 2;
/** A disk is looked at again by the time this part of what is left above its threshold is gone. */
const spentPart = 0.5;

/**
 * How long until the node is looked at again. Memory and processes can go within a second, so what counts is how little is left. A disk
 * fills at a pace that shows from one look to the next: one that is nearly full for months costs no more looks than an empty one. What is
 * crossed already is looked at in the usual time, as it has been dealt with.
 */
export function nextLookMs(
  thresholds: readonly Threshold[],
  now: TimedLook,
  before: TimedLook | undefined,
  usualMs: number,
): number {
  const pauses = thresholds.map(({ signal, value }) => {
    const observed = now.observations.get(signal);
    if (!observed) return usualMs;
    const wanted = amountOf(value, observed);
    if (signalFacts[signal].condition !== 'DiskPressure')
      return observed.available < wanted * nearFactor ? quickMs : usualMs;
    const last = before?.observations.get(signal);
    const spare = observed.available - wanted;
    const spent = last ? last.available - observed.available : 0;
    if (!before || spare <= 0 || spent <= 0) return usualMs;
    return (spare / spent) * (now.at - before.at) * spentPart;
  });
  return Math.min(Math.max(Math.min(usualMs, ...pauses), quickMs), usualMs);
}
