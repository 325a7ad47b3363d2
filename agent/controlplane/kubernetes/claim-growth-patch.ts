import { toRfc3339 } from '../../../base/clock.js';
import type { PersistentVolumeClaim } from '../../api/index.js';
import type { ClaimGrowth } from '../control-plane.js';

/** Conditions that say that a volume is still to grow, or could not. */
const pending = ['Resizing', 'FileSystemResizePending', 'ControllerResizeError', 'NodeResizeError'] as const;

/**
 * What a node may change of a claim's status (the NodeRestriction admission compares the rest): capacity, conditions and the state of the
 * allocated resources. A strategic merge patch; the uid keeps it from a new claim of the same name.
 */
export function claimGrowthPatch(
  { metadata, status }: PersistentVolumeClaim,
  growth: ClaimGrowth,
  now: number,
): object {
  const present = new Set(status?.conditions?.map(({ type }) => type));
  return { metadata: { uid: metadata?.uid }, status: statusOf(growth, present, toRfc3339(now)) };
}

function statusOf(growth: ClaimGrowth, present: ReadonlySet<string>, time: string): object {
  switch (growth.state) {
    case 'growing':
      return { allocatedResourceStatuses: { storage: 'NodeResizeInProgress' } };
    case 'grown':
      return {
        capacity: { storage: growth.capacity },
        allocatedResourceStatuses: { storage: null },
        conditions: pending.filter((type) => present.has(type)).map((type) => ({ type, $patch: 'delete' })),
      };
    case 'failed':
      return { conditions: [resizeError(growth.message, time)] };
    case 'infeasible':
      return {
        allocatedResourceStatuses: { storage: 'NodeResizeInfeasible' },
        conditions: [resizeError(growth.message, time)],
      };
  }
}

const resizeError = (message: string, time: string): object => ({
  type: 'NodeResizeError',
  status: 'True',
  lastTransitionTime: time,
  message: `failed to expand pvc with ${message}`,
});
