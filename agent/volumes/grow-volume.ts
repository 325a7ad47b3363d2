import { errorText } from '../../base/errors.js';
import { quantityValue, type PersistentVolumeClaim, type Pod } from '../api/index.js';
import type { EventType } from '../events/event-recorder.js';
import type { PublishRequest, VolumePlugin } from './volume-plugin.js';

export interface GrowDeps {
  event(pod: Pod, type: EventType, reason: string, message: string): void;
  /** Tells the control plane the size that a claim's volume has now. */
  claimGrew?(claim: PersistentVolumeClaim, bytes: number, signal: AbortSignal): Promise<void>;
}

/**
 * Grows the file system of a claim's volume when its PersistentVolume has become larger than the claim says it is. Returns the size grown
 * to. A failure is an event on the pod, which goes on with the size it has; the next look tries again.
 */
export async function growVolume(
  request: PublishRequest,
  plugin: VolumePlugin,
  grownTo: number,
  deps: GrowDeps,
  signal: AbortSignal,
): Promise<number> {
  const { origin, pod, name, readOnly } = request.volume;
  if (origin.kind !== 'persistent' || readOnly || !plugin.expand) return grownTo;
  const wanted = quantityValue(origin.persistentVolume.spec?.capacity?.['storage'] ?? '0');
  const told = origin.claim.status?.capacity?.['storage'];
  if (told === undefined || wanted <= Math.max(quantityValue(told), grownTo)) return grownTo;
  try {
    const bytes = await plugin.expand(request, wanted, signal);
    await deps.claimGrew?.(origin.claim, bytes, signal);
    deps.event(
      pod,
      'Normal',
      'FileSystemResizeSuccessful',
      `MountVolume.NodeExpandVolume succeeded for volume "${name}"`,
    );
    return wanted;
  } catch (err) {
    signal.throwIfAborted();
    const words = `NodeExpandVolume failed for volume "${name}" : ${plugin.name}: ${errorText(err)}`;
    deps.event(pod, 'Warning', 'VolumeResizeFailed', words);
    return grownTo;
  }
}
