import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { ObjectReference } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { Kubepods } from './cgroups/kubepods.js';
import type { CgroupLimits } from './cgroups/cgroup-limits.js';
import { reservedLimits, type Reservations } from './node-allocatable.js';

export interface EnforceDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly node: ObjectReference;
  readonly cgroups: Pick<Kubepods, 'root' | 'limitAll' | 'limitOther'>;
}

const retryMs = 60_000;

/**
 * Keeps all pods together, and the machine's own services where that is asked for, to their share (facts 4.3). Pods that use more than that
 * already are not ended for it: it is tried again until evictions have brought them down. Until the signal aborts or all is done.
 */
export async function enforceAllocatable(
  pods: CgroupLimits,
  reservations: Reservations,
  deps: EnforceDeps,
  signal: AbortSignal,
): Promise<void> {
  const { cgroups } = deps;
  await untilDone(
    deps,
    async () => {
      await cgroups.limitAll(pods, signal);
      return 'Updated Node Allocatable limit across pods';
    },
    (reason) => `Failed to update Node Allocatable Limits "${cgroups.root}": ${reason}`,
    signal,
  );
  for (const { cgroup, limits, what } of reservedLimits(reservations)) {
    await untilDone(
      deps,
      async () => {
        if (!(await cgroups.limitOther(cgroup, limits, signal))) throw new Error('the cgroup does not exist');
        return `Updated limits on ${what} reserved cgroup ${cgroup}`;
      },
      (reason) =>
        `Failed to enforce ${what === 'kube' ? 'Kube' : 'System'} Reserved Cgroup Limits on "${cgroup}": ${reason}`,
      signal,
    );
  }
}

async function untilDone(
  { clock, log, events, node }: EnforceDeps,
  work: () => Promise<string>,
  failed: (reason: string) => string,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      events.record(node, 'Normal', 'NodeAllocatableEnforced', await work());
      return;
    } catch (err) {
      if (signal.aborted) return;
      const message = failed(errorText(err));
      events.record(node, 'Warning', 'FailedNodeAllocatableEnforcement', message);
      log.warn({ err: errorText(err), retryInMs: retryMs }, 'limits of the node could not be enforced');
      await clock.sleep(retryMs, signal).catch(() => {});
    }
  }
}
