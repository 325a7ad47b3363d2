import { expect, test } from 'vitest';
import { goChecksum, goDump, goInt, goMap, goPointer, goSlice, goString, goStruct } from './go-dump.js';

const cpuState = (cpus: string, entries: Readonly<Record<string, Readonly<Record<string, string>>>>): number =>
  goChecksum(
    goPointer(
      goStruct('state.CPUManagerCheckpoint', {
        PolicyName: goString('none'),
        DefaultCPUSet: goString(cpus),
        Entries: goMap(
          'map[string]map[string]string',
          Object.entries(entries).map(([pod, containers]) => [
            pod,
            goMap(
              'map[string]string',
              Object.entries(containers).map(([name, set]) => [name, goString(set)]),
            ),
          ]),
        ),
        Checksum: goInt(0, 'checksum.Checksum'),
      }),
    ),
  );

// The numbers are those of the kubelet's own tests.
test('the checksum of a CPU manager state is the kubelet’s', () => {
  expect(cpuState('4-6', {})).toBe(354_655_845);
  expect(cpuState('1-3', { pod: { container1: '4-6', container2: '1-3' } })).toBe(3_610_638_499);
});

test('a list that was never made is not an empty one', () => {
  expect(goDump(goSlice('[]string', null))).toBe('([]string)<nil>');
  expect(goDump(goSlice('[]string', []))).toBe('([]string)[]');
  expect(goDump(goSlice('[]string', [goString('a'), goString('b')]))).toBe('([]string)[a b]');
});
