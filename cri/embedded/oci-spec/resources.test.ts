import { describe, expect, test } from 'vitest';
import { buildResources, mergeResources, type ResourceHost } from './resources.js';

const v1: ResourceHost = { cgroupVersion: 1, swapLimit: true, hugepageSizes: ['2MB', '1GB'] };
const v2: ResourceHost = { ...v1, cgroupVersion: 2 };
const mib = 1024 * 1024;
/** Without keys that are undefined, as they come out in JSON. */
const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('buildResources', () => {
  test.each([
    ['nothing', undefined, v1, {}],
    ['zeroes are unset', { cpuShares: 0, cpuQuota: 0, memoryLimitInBytes: 0, cpusetCpus: '' }, v1, {}],
    ['a memory limit without swap', { memoryLimitInBytes: mib }, v1, { memory: { limit: mib, swap: mib } }],
    [
      'a swap limit',
      { memoryLimitInBytes: mib, memorySwapLimitInBytes: 2 * mib },
      v1,
      { memory: { limit: mib, swap: 2 * mib } },
    ],
    ['no swap accounting', { memoryLimitInBytes: mib }, { ...v1, swapLimit: false }, { memory: { limit: mib } }],
    ['unlimited quota', { cpuQuota: -1, cpuPeriod: 100_000 }, v1, { cpu: { quota: -1, period: 100_000 } }],
    ['a CPU set', { cpusetCpus: '0-1', cpusetMems: '0' }, v1, { cpu: { cpus: '0-1', mems: '0' } }],
    [
      'known huge pages, in either spelling',
      {
        hugepageLimits: [
          { pageSize: '2Mi', limit: 4 * mib },
          { pageSize: '1GB', limit: 0 },
          { pageSize: '64KB', limit: 0 },
        ],
      },
      v1,
      {
        hugepageLimits: [
          { pageSize: '2MB', limit: 4 * mib },
          { pageSize: '1GB', limit: 0 },
        ],
      },
    ],
    ['unified on v2', { unified: { 'memory.high': '1' } }, v2, { unified: { 'memory.high': '1' } }],
    [
      'a swap limit in unified stands alone',
      { memoryLimitInBytes: mib, unified: { 'memory.swap.max': '0' } },
      v2,
      { memory: { limit: mib }, unified: { 'memory.swap.max': '0' } },
    ],
  ] as const)('%s', (_name, cri, host, expected) => {
    expect(json(buildResources(cri, host))).toEqual(expected);
  });
});

test('mergeResources: what is set replaces, what is not stays', () => {
  expect(
    mergeResources(
      { cpuShares: 100, cpuQuota: 5, unified: { a: '1', b: '2' }, cpusetCpus: '0' },
      { cpuShares: 0, cpuQuota: 7, unified: { b: '3' }, cpusetCpus: '', memoryLimitInBytes: 9 },
    ),
  ).toEqual({ cpuShares: 100, cpuQuota: 7, unified: { a: '1', b: '3' }, cpusetCpus: '0', memoryLimitInBytes: 9 });
});

test('mergeResources: memory without swap beside it stays so, and swap that there is stays', () => {
  const bare = { memoryLimitInBytes: 8, memorySwapLimitInBytes: 8 };
  expect(mergeResources(bare, { memoryLimitInBytes: 9 })).toEqual({ memoryLimitInBytes: 9, memorySwapLimitInBytes: 9 });
  expect(mergeResources({ ...bare, memorySwapLimitInBytes: 16 }, { memoryLimitInBytes: 9 })).toEqual({
    memoryLimitInBytes: 9,
    memorySwapLimitInBytes: 16,
  });
  expect(mergeResources({ memoryLimitInBytes: 8 }, { memoryLimitInBytes: 9 })).toEqual({ memoryLimitInBytes: 9 });
});
