import { sharesOfWeight, weightOf } from '../cpu-shares.js';
import type { CgroupLimits } from './cgroup-limits.js';
import { quotaPerSecond } from './systemd-units.js';

/** The kernel counts memory in pages. */
const page = 4096;

/** What reading limits back gives after they were written: weights of v2, whole pages, and systemd's percents are coarser than what was meant. */
export function asKept(limits: CgroupLimits, { v2, systemd }: { v2: boolean; systemd: boolean }): CgroupLimits {
  const { cpuShares, cpuQuotaUs, cpuPeriodUs = 100_000, memoryBytes } = limits;
  return {
    cpuShares: cpuShares === undefined || !v2 ? cpuShares : sharesOfWeight(weightOf(cpuShares)),
    cpuQuotaUs:
      cpuQuotaUs === undefined || cpuQuotaUs < 0 || !systemd
        ? cpuQuotaUs
        : (quotaPerSecond(cpuQuotaUs, cpuPeriodUs) * cpuPeriodUs) / 1_000_000,
    cpuPeriodUs,
    memoryBytes: memoryBytes === undefined ? undefined : Math.floor(memoryBytes / page) * page,
  };
}
