import {
  compareQuantities,
  matchesLabels,
  type PersistentVolume,
  type PersistentVolumeClaim,
} from '../../api/index.js';

/**
 * The volume a claim gets where no controller binds (the rules of the cluster's own binder): one that is reserved for it, else the smallest
 * that is free, large enough and of the class, modes and labels asked for. Undefined when none fits.
 */
export function matchVolume(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  isTaken: (volume: PersistentVolume) => boolean,
): PersistentVolume | undefined {
  const { volumeName = '' } = claim.spec ?? {};
  const fitting = volumes.filter((volume) => !isTaken(volume) && fits(claim, volume));
  const reserved = fitting.find((volume) => isReservedFor(claim, volume));
  if (volumeName !== '') return fitting.find((volume) => volume.metadata?.name === volumeName);
  if (reserved) return reserved;
  return fitting.filter(({ spec }) => spec?.claimRef === undefined).sort((a, b) => bySize(a, b))[0];
}

function fits(claim: PersistentVolumeClaim, volume: PersistentVolume): boolean {
  const wanted = claim.spec ?? {};
  const { spec = {}, metadata } = volume;
  if (metadata?.deletionTimestamp !== undefined) return false;
  if (spec.claimRef !== undefined && !isReservedFor(claim, volume)) return false;
  if ((wanted.volumeMode ?? 'Filesystem') !== (spec.volumeMode ?? 'Filesystem')) return false;
  if ((wanted.storageClassName ?? '') !== (spec.storageClassName ?? '')) return false;
  if (!(wanted.accessModes ?? []).every((mode) => spec.accessModes?.includes(mode))) return false;
  const size = spec.capacity?.['storage'] ?? '0';
  if (compareQuantities(size, wanted.resources?.requests?.['storage'] ?? '0') < 0) return false;
  return wanted.selector === undefined || matchesLabels(wanted.selector, metadata?.labels ?? {});
}

/** A claimRef without a uid names a claim that may not exist yet. */
export function isReservedFor(claim: PersistentVolumeClaim, { spec }: PersistentVolume): boolean {
  const ref = spec?.claimRef;
  if (!ref) return false;
  if (ref.name !== claim.metadata?.name || (ref.namespace ?? 'default') !== (claim.metadata?.namespace ?? 'default'))
    return false;
  return ref.uid === undefined || ref.uid === '' || ref.uid === claim.metadata?.uid;
}

function bySize(a: PersistentVolume, b: PersistentVolume): number {
  const size = compareQuantities(a.spec?.capacity?.['storage'] ?? '0', b.spec?.capacity?.['storage'] ?? '0');
  return size || (a.metadata?.name ?? '').localeCompare(b.metadata?.name ?? '');
}
