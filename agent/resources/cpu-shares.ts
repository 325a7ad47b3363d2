/** Formulas between CPU quantities and cgroup values (facts 4.2). */

const sharesPerCpu = 1024;
export const minShares = 2;
const maxShares = 262_144;
const minQuotaUs = 1000;

export function sharesOf(milliCpu: number): number {
  if (milliCpu === 0) return minShares;
  return Math.min(Math.max(Math.floor((milliCpu * sharesPerCpu) / 1000), minShares), maxShares);
}

/** Quota in microseconds of each period, -1 without a limit. */
export function quotaOf(milliCpu: number, periodUs: number): number {
  if (milliCpu === 0) return -1;
  return Math.max(Math.floor((milliCpu * periodUs) / 1000), minQuotaUs);
}

/** cgroup v2 weight of cgroups the agent makes itself: linear, as the kubelet's. */
export function weightOf(shares: number): number {
  if (shares >= maxShares) return 10_000;
  return Math.floor(1 + ((Math.max(shares, minShares) - minShares) * 9999) / (maxShares - minShares));
}

export function sharesOfWeight(weight: number): number {
  if (weight >= 10_000) return maxShares;
  return Math.ceil(minShares + ((weight - 1) * (maxShares - minShares)) / 9999);
}
