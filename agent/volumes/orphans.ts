import type { Logger } from '../../base/log.js';
import type { PodUid } from '../api/index.js';
import { VolumeError } from './volume-error.js';
import type { VolumeManager } from './volume-manager.js';

export interface OrphanReport {
  readonly removed: readonly PodUid[];
  readonly failed: readonly { readonly uid: PodUid; readonly error: VolumeError }[];
}

/**
 * Unmounts and removes the volumes of pods that nobody wants. To be called once every source has delivered and the runtime has been asked: a
 * pod that still runs must be among the wanted. Never removes through a mount; what fails is reported and left as it is.
 */
export async function removeOrphanVolumes(
  volumes: Pick<VolumeManager, 'presentPods' | 'unmountPod' | 'removeUnusedStages'>,
  isWanted: (uid: PodUid) => boolean,
  log: Logger,
  signal: AbortSignal,
): Promise<OrphanReport> {
  const removed: PodUid[] = [];
  const failed: { uid: PodUid; error: VolumeError }[] = [];
  for (const uid of volumes.presentPods()) {
    if (isWanted(uid)) continue;
    try {
      await volumes.unmountPod(uid, signal);
      removed.push(uid);
    } catch (err) {
      signal.throwIfAborted();
      const error = VolumeError.of({ volume: uid, plugin: 'agent', call: 'UnmountVolume.TearDown' }, err);
      failed.push({ uid, error });
      log.warn({ err, podUid: uid }, 'volumes of a pod that is gone cannot be removed and stay');
    }
  }
  try {
    await volumes.removeUnusedStages(signal);
  } catch (err) {
    signal.throwIfAborted();
    log.warn({ err }, 'volumes that no pod uses cannot be detached and stay');
  }
  if (removed.length > 0) log.info({ pods: removed.length }, 'volumes of pods that are gone removed');
  return { removed, failed };
}
