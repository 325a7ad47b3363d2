import { describeFailure, type Executors, type PodContext } from '../../executors/index.js';
import type { Step } from '../../podloop/steps.js';
import type { WorkCounts } from './work-metrics.js';

type Execute = (step: Step, pod: PodContext, signal: AbortSignal) => Promise<void>;

/** Executors whose steps are counted; what they do is as it was. */
export function countedExecutors(executors: Executors, work: WorkCounts): Executors {
  const counted = Object.entries(executors).map(([kind, execute]) => [kind, countedOne(execute as Execute, work)]);
  return Object.fromEntries(counted) as Executors;
}

const countedOne =
  (execute: Execute, work: WorkCounts): Execute =>
  async (step, context, signal) => {
    const desired = context.desired();
    const ending = desired === undefined || desired.termination !== undefined;
    const created = context.seen().containers.length > 0;
    const ended = work.step({ uid: context.uid, pod: desired?.pod, ending, created }, step);
    try {
      await execute(step, context, signal);
      ended();
    } catch (err) {
      ended(signal.aborted ? undefined : describeFailure(step, err).reason);
      throw err;
    }
  };
