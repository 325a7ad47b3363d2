import { describe, expect, test } from 'vitest';
import { cpuStateChecksum, memoryStateChecksum } from './state-checksums.js';

describe('checksums are the kubelet’s', () => {
  // Files and numbers are those of the kubelet's own tests.
  test('of CPUs', () => {
    expect(
      cpuStateChecksum({
        policyName: 'none',
        defaultCpuSet: '1-3',
        entries: { pod: { container1: '4-6', container2: '1-3' } },
      }),
    ).toBe(3_610_638_499);
  });

  test('of memory', () => {
    const memory = { total: 2048, systemReserved: 512, allocatable: 1536, reserved: 512, free: 1024 };
    expect(
      memoryStateChecksum({
        policyName: 'static',
        machineState: { '0': { numberOfAssignments: 0, memoryMap: { memory }, cells: [] } },
        entries: { pod: { container1: [{ numaAffinity: [0], type: 'memory', size: 512 }] } },
      }),
    ).toBe(4_215_593_881);
  });
});
