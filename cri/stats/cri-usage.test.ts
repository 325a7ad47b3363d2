import { expect, test } from 'vitest';
import type { CgroupStats } from './cgroup-stats.js';
import { CriUsage, sumOfCgroups } from './cri-usage.js';

const counted = (overrides: Partial<CgroupStats> = {}): CgroupStats => ({
  ...{ cpuNanos: 0, cpuUserNanos: 0, cpuSystemNanos: 0, throttledPeriods: 0 },
  ...{ memoryUsage: 900, memoryWorkingSet: 700, memoryRss: 500, memoryCache: 0, memoryLimit: 1000, swapUsage: 11 },
  ...{ pageFaults: 3, majorPageFaults: 1, processes: 2, oomKills: 0 },
  ...overrides,
});
const second = 1e9;

test('a rate is told from the second question on, of each cgroup by itself, and not over more than an hour', () => {
  const usage = new CriUsage();
  const rate = (id: string, cpuNanos: number, timestamp: number): number | undefined =>
    usage.ofContainer(id, counted({ cpuNanos }), timestamp).cpu?.usageNanoCores?.value;
  expect(rate('a', 0, 0)).toBeUndefined();
  expect(rate('a', 4e9, 8 * second)).toBe(5e8);
  expect(rate('b', 9e9, 8 * second)).toBeUndefined();
  expect(rate('a', 4e9, 10 * second)).toBe(0);
  const later = 4000 * second;
  expect(rate('c', 0, later)).toBeUndefined();
  expect(rate('a', 5e9, later)).toBeUndefined();
});

test('what is told of a container and of a pod', () => {
  const usage = new CriUsage();
  expect(usage.ofContainer('a', counted(), 7)).toEqual({
    cpu: { timestamp: 7, usageCoreNanoSeconds: { value: 0 }, usageNanoCores: undefined, psi: undefined },
    memory: {
      timestamp: 7,
      workingSetBytes: { value: 700 },
      availableBytes: { value: 300 },
      usageBytes: { value: 900 },
      rssBytes: { value: 500 },
      pageFaults: { value: 3 },
      majorPageFaults: { value: 1 },
      psi: undefined,
    },
    swap: { timestamp: 7, swapUsageBytes: { value: 11 } },
    io: undefined,
  });
  expect(usage.ofPod('p', counted({ memoryLimit: 0 }), 7)).toMatchObject({
    memory: { availableBytes: undefined },
    process: { timestamp: 7, processCount: { value: 2 } },
  });
});

test('a sum has a limit only where every part has one, and no pressure', () => {
  const parts = [counted({ memoryLimit: 100 }), counted({ memoryLimit: 200, cpuNanos: 5 })];
  expect(sumOfCgroups(parts)).toEqual({
    ...counted({ memoryUsage: 1800, memoryWorkingSet: 1400, memoryRss: 1000, memoryLimit: 300, swapUsage: 22 }),
    ...{ cpuNanos: 5, pageFaults: 6, majorPageFaults: 2, processes: 4, psi: undefined },
  });
  expect(sumOfCgroups([...parts, counted({ memoryLimit: 0 })])?.memoryLimit).toBe(0);
  expect(sumOfCgroups([])).toBeUndefined();
});
