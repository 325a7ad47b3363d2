import {
  goChecksum,
  goInt,
  goMap,
  goPointer,
  goSlice,
  goString,
  goStruct,
  type GoText,
} from '../../../base/go-dump.js';
import type { CpuManagerState } from './cpu-manager.js';
import type { MemoryBlock, MemoryManagerState, MemoryTable } from './memory-manager.js';

/** The kubelet's checksum of its `cpu_manager_state`, the form without pod-level entries. */
export function cpuStateChecksum({ policyName, defaultCpuSet, entries = {} }: CpuManagerState): number {
  const containers = (own: Readonly<Record<string, string>>): GoText =>
    goMap(
      'map[string]string',
      byName(own).map(([name, cpus]) => [name, goString(cpus)]),
    );
  return goChecksum(
    goPointer(
      goStruct('state.CPUManagerCheckpoint', {
        PolicyName: goString(policyName),
        DefaultCPUSet: goString(defaultCpuSet),
        Entries: goMap(
          'map[string]map[string]string',
          byName(entries).map(([uid, own]) => [uid, containers(own)]),
        ),
        Checksum: goInt(0, 'checksum.Checksum'),
      }),
    ),
  );
}

/** Likewise of `memory_manager_state`. */
export function memoryStateChecksum({ policyName, machineState, entries = {} }: MemoryManagerState): number {
  const nodes = Object.entries(machineState).sort(([a], [b]) => Number(a) - Number(b));
  return goChecksum(
    goPointer(
      goStruct('state.MemoryManagerCheckpoint', {
        PolicyName: goString(policyName),
        MachineState: goMap(
          'state.NUMANodeMap',
          nodes.map(([id, { numberOfAssignments, memoryMap, cells }]) => [
            id,
            pointedTo({
              NumberOfAssignments: goInt(numberOfAssignments, 'int'),
              MemoryMap: goMap(
                'map[v1.ResourceName]*state.MemoryTable',
                byName(memoryMap).map(([name, each]) => [name, table(each)]),
              ),
              Cells: ints(cells),
            }),
          ]),
        ),
        Entries: goMap(
          'state.ContainerMemoryAssignments',
          byName(entries).map(([uid, own]) => [
            uid,
            goMap(
              'map[string][]state.Block',
              byName(own).map(([name, all]) => [name, blocks(all)]),
            ),
          ]),
        ),
        Checksum: goInt(0, 'checksum.Checksum'),
      }),
    ),
  );
}

const table = ({ total, systemReserved, allocatable, reserved, free }: MemoryTable): GoText =>
  pointedTo({
    TotalMemSize: goInt(total, 'uint64'),
    SystemReserved: goInt(systemReserved, 'uint64'),
    Allocatable: goInt(allocatable, 'uint64'),
    Reserved: goInt(reserved, 'uint64'),
    Free: goInt(free, 'uint64'),
  });

const blocks = (all: readonly MemoryBlock[]): GoText =>
  goSlice(
    '[]state.Block',
    all.map(({ numaAffinity, type, size }) =>
      goStruct('state.Block', {
        NUMAAffinity: ints(numaAffinity),
        Type: { type: 'v1.ResourceName', text: type },
        Size: goInt(size, 'uint64'),
      }),
    ),
  );

const ints = (all: readonly number[]): GoText =>
  goSlice(
    '[]int',
    all.map((each) => goInt(each, 'int')),
  );

/** What a map points to, where its type is not printed. */
function pointedTo(fields: Readonly<Record<string, GoText>>): GoText {
  const { type, text } = goStruct('', fields);
  return { type, text: `<*>${text}` };
}

/** In the order of Go, which compares bytes. */
const byName = <T>(record: Readonly<Record<string, T>>): [string, T][] =>
  Object.entries(record).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
