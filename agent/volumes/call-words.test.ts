import { expect, test } from 'vitest';
import type { DriverCall } from '../../csi/index.js';
import type { PodUid } from '../api/index.js';
import { callsFor, callsForEnd, callsText } from './call-words.js';
import type { PodVolume, VolumeOrigin } from './volume-plugin.js';

const call = (verb: string, subject: DriverCall['subject'], rest: Partial<DriverCall> = {}): DriverCall => ({
  interface: 'csi',
  driver: 'disk.example.com',
  verb,
  subject,
  since: Date.UTC(2026, 0, 2, 3, 4, 5),
  attempt: 1,
  lastAnswer: undefined,
  said: '',
  ...rest,
});

function volumeOf(uid: string, specName: string, handle?: string): PodVolume {
  const volume = { name: 'data' };
  const persistentVolume = {
    metadata: { name: specName },
    spec: { csi: { driver: 'disk.example.com', volumeHandle: handle ?? '' } },
  };
  const origin: VolumeOrigin =
    handle === undefined ? { kind: 'inline', volume } : { kind: 'persistent', volume, persistentVolume, claim: {} };
  return { pod: {}, uid: uid as PodUid, name: 'data', specName, origin, readOnly: false, block: false };
}

test('a volume waits for its own calls; one that pods share for those of the others and of its end', () => {
  const mine = call('NodePublishVolume', { podUid: 'a', object: 'pv-1' });
  const others = call('NodeStageVolume', { podUid: 'b', object: 'pv-1' });
  const ending = call('NodeUnstageVolume', { object: 'handle-1' });
  const calls = [mine, others, ending, call('NodeStageVolume', { podUid: 'a', object: 'pv-2' })];
  expect(callsFor(volumeOf('a', 'pv-1', 'handle-1'), calls)).toEqual([mine]);
  expect(callsFor(volumeOf('c', 'pv-1', 'handle-1'), calls)).toEqual([mine, others, ending]);
  expect(callsFor(volumeOf('c', 'pv-1'), calls)).toEqual([]);
  expect(callsForEnd('b' as PodUid, [], calls)).toEqual([others]);
  expect(callsForEnd('c' as PodUid, [volumeOf('c', 'pv-1', 'handle-1')], calls)).toEqual([mine, others, ending]);
});

test.each([
  [
    call('NodeStageVolume', { object: 'pv-1' }, { attempt: 2, lastAnswer: 'the array restarts' }),
    'NodeStageVolume of pv-1 at CSI driver disk.example.com was begun at 2026-01-02T03:04:05.000Z and has not ended (attempt 2); last answer: the array restarts',
  ],
  [
    call(
      'mount',
      { object: 'data' },
      { interface: 'flexvolume', driver: 'example.com/lvm', said: 'waiting for lvmetad' },
    ),
    'mount of data at FlexVolume driver example.com/lvm was begun at 2026-01-02T03:04:05.000Z and has not ended; it says: waiting for lvmetad',
  ],
])('what a pod is told of a call under way', (one, text) => {
  expect(callsText([one], 0)).toBe(text);
});

test('work without a call to a driver says since when at least', () => {
  expect(callsText([], 0)).toBe('it was begun at 1970-01-01T00:00:00.000Z and has not ended');
});
