import type { DriverCall } from '../../csi/index.js';
import type { PodUid } from '../api/index.js';
import type { PodVolume } from './volume-plugin.js';

/** The calls that a volume of a pod waits for: those made for it, else those for the same volume of another pod. */
export function callsFor(volume: PodVolume, calls: readonly DriverCall[]): readonly DriverCall[] {
  const { uid, specName, origin } = volume;
  const names = new Set([specName]);
  if (origin.kind === 'persistent') {
    const { csi } = origin.persistentVolume.spec ?? {};
    if (csi) names.add(csi.volumeHandle);
  }
  const about = calls.filter(({ subject }) => subject.object !== undefined && names.has(subject.object));
  const own = about.filter(({ subject }) => subject.podUid === uid);
  // Names of volumes that belong to one pod alone say nothing about another's.
  return own.length > 0 || origin.kind === 'inline' ? own : about;
}

/** The calls that the end of a pod waits for: its own, and those for the volumes it shared. */
export function callsForEnd(
  uid: PodUid,
  volumes: readonly PodVolume[],
  calls: readonly DriverCall[],
): readonly DriverCall[] {
  const found = new Set(calls.filter(({ subject }) => subject.podUid === uid));
  for (const volume of volumes) for (const call of callsFor(volume, calls)) found.add(call);
  return [...found];
}

/** Which call, of which volume, at which driver, since when, and the driver's last words. */
export function callsText(calls: readonly DriverCall[], otherwiseSince: number): string {
  if (calls.length === 0) return `it was begun at ${timeOf(otherwiseSince)} and has not ended`;
  return calls.map(callText).join('; ');
}

const driverWords = { csi: 'CSI driver', flexvolume: 'FlexVolume driver' } as const;

function callText({ interface: kind, driver, verb, subject, since, attempt, lastAnswer, said }: DriverCall): string {
  const tries = attempt > 1 ? ` (attempt ${attempt})` : '';
  const answer = lastAnswer === undefined ? '' : `; last answer: ${lastAnswer}`;
  const words = said === '' ? '' : `; it says: ${said}`;
  const object = subject.object === undefined ? '' : ` of ${subject.object}`;
  return `${verb}${object} at ${driverWords[kind]} ${driver} was begun at ${timeOf(since)} and has not ended${tries}${answer}${words}`;
}

const timeOf = (ms: number): string => new Date(ms).toISOString();
