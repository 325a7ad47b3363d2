import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import { isInfeasible } from '../../csi/index.js';
import { quantityValue, type PersistentVolumeClaim, type Pod } from '../api/index.js';
import type { ClaimGrowth } from '../controlplane/control-plane.js';
import type { EventType } from '../events/event-recorder.js';
import { counted, type CountOperation } from './storage-operations.js';
import type { PublishRequest, VolumePlugin } from './volume-plugin.js';

export interface GrowDeps {
  readonly count: CountOperation;
  readonly clock: Clock;
  event(pod: Pod, type: EventType, reason: string, message: string): void;
  /** Tells whoever keeps the claim how far it is. */
  claimGrowth(claim: PersistentVolumeClaim, growth: ClaimGrowth, signal: AbortSignal): Promise<void>;
}

/** What this agent did for the size of one volume of one pod. */
export interface Grown {
  /** Bytes that it was last grown to; 0 while it was not. */
  readonly to: number;
  /** In a row. */
  readonly failures: number;
  /** ms: not before. */
  readonly retryAt?: number | undefined;
  /** Bytes that the driver says are not possible. */
  readonly refused?: number | undefined;
}

export const notGrown: Grown = { to: 0, failures: 0 };

const firstRetryMs = 500;
const longestRetryMs = 122_000;

/**
 * Grows the file system of a claim's volume when its PersistentVolume has become larger than the claim says it is. A failure is an event on
 * the pod, which goes on with the size it has, and is tried again unless the driver says that it cannot be.
 */
export async function growVolume(
  request: PublishRequest,
  plugin: VolumePlugin,
  last: Grown,
  deps: GrowDeps,
  signal: AbortSignal,
): Promise<Grown> {
  const { origin, pod, name, readOnly } = request.volume;
  const expand = plugin.expand?.bind(plugin);
  if (origin.kind !== 'persistent' || readOnly || !expand) return last;
  const { claim } = origin;
  const capacity = origin.persistentVolume.spec?.capacity?.['storage'] ?? '0';
  const wanted = quantityValue(capacity);
  const told = claim.status?.capacity?.['storage'];
  if (told === undefined || wanted <= Math.max(quantityValue(told), last.to)) return last;
  const now = deps.clock.now();
  if (last.refused === wanted || (last.retryAt !== undefined && now < last.retryAt)) return last;
  try {
    await deps.claimGrowth(claim, { state: 'growing' }, signal);
    await counted(deps.count, 'volume_fs_resize', plugin.name, () => expand(request, wanted, signal));
    // What was asked for and not what the driver made of it: else a driver that rounds would be asked again at each start.
    await deps.claimGrowth(claim, { state: 'grown', capacity }, signal);
    const words = `MountVolume.NodeExpandVolume succeeded for volume "${name}"`;
    deps.event(pod, 'Normal', 'FileSystemResizeSuccessful', words);
    return { to: wanted, failures: 0 };
  } catch (err) {
    signal.throwIfAborted();
    const message = `NodeExpandVolume failed for volume "${name}" : ${plugin.name}: ${errorText(err)}`;
    deps.event(pod, 'Warning', 'VolumeResizeFailed', message);
    const infeasible = isInfeasible(err);
    const growth: ClaimGrowth = { state: infeasible ? 'infeasible' : 'failed', message };
    await deps.claimGrowth(claim, growth, signal).catch(() => signal.throwIfAborted());
    if (infeasible) return { to: last.to, failures: 0, refused: wanted };
    const delay = Math.min(firstRetryMs * 2 ** Math.min(last.failures, 16), longestRetryMs);
    return { to: last.to, failures: last.failures + 1, retryAt: now + delay };
  }
}
