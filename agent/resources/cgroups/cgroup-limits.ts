/** What one cgroup of the agent's gets; undefined leaves what is there. */
export interface CgroupLimits {
  readonly cpuShares?: number | undefined;
  /** -1 for none. */
  readonly cpuQuotaUs?: number | undefined;
  readonly cpuPeriodUs?: number | undefined;
  /** -1 for none. */
  readonly memoryBytes?: number | undefined;
  readonly pids?: number | undefined;
  /** By page size as the kernel writes it: `2MB`. */
  readonly hugepages?: ReadonlyMap<string, number> | undefined;
}
