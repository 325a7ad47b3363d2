import { expect, test } from 'vitest';
import { CpuRates } from './cpu-rates.js';

test('a rate needs two looks a second apart, and starts anew with a counter that fell', () => {
  const rates = new CpuRates();
  const at = (ms: number, totalNs: number): number | undefined => rates.nanoCores('c', totalNs, ms);
  expect([at(0, 0), at(500, 1e9), at(2000, 1e9), at(2500, 9e9), at(3000, 2e9), at(4000, 1)]).toEqual([
    undefined,
    undefined,
    500_000_000,
    500_000_000,
    1_000_000_000,
    undefined,
  ]);
});
