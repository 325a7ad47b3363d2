import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatCpuSet, parseCpuSet } from './cpu-set.js';

test('CPU sets are written as the kernel does', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(200)), (cpus) => {
      expect(parseCpuSet(formatCpuSet(cpus))).toEqual([...cpus].sort((a, b) => a - b));
    }),
  );
  expect(formatCpuSet([3, 0, 1, 2, 7])).toBe('0-3,7');
  expect(() => parseCpuSet('3-1')).toThrow('runs backwards');
});
