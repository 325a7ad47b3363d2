/** What one cgroup uses, with everything below it. Sizes are bytes, times nanoseconds unless named otherwise. */
export interface CgroupUsage {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly cpu: CpuUsage | undefined;
  readonly memory: MemoryUsage | undefined;
  readonly swap: SwapUsage | undefined;
  /** All threads, as the kernel counts and limits them. */
  readonly threads: number | undefined;
  /** Of the cgroup itself, without those below it; undefined where nobody looked. */
  readonly processes: number | undefined;
  readonly pressure: Pressures | undefined;
  /** Processes the kernel killed for want of memory, since the cgroup was made. */
  readonly oomKills: number | undefined;
}

export interface CpuUsage {
  readonly totalNs: number;
  /** Averaged over some seconds; undefined until it was looked at twice. */
  readonly nanoCores: number | undefined;
  readonly userNs: number | undefined;
  readonly systemNs: number | undefined;
  /** Periods of a CPU limit and how many of them were cut short; undefined without a limit. */
  readonly throttling:
    { readonly periods: number; readonly throttledPeriods: number; readonly throttledNs: number } | undefined;
}

export interface MemoryUsage {
  readonly usage: number;
  /** Usage without file pages that can be given back at once: what counts for eviction. */
  readonly workingSet: number;
  readonly rss: number;
  readonly cache: number;
  readonly mappedFile: number;
  /** File pages by whether they were used lately. */
  readonly activeFile: number;
  readonly inactiveFile: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  /** Undefined without one. */
  readonly limit: number | undefined;
  readonly failures: number | undefined;
}

export interface SwapUsage {
  readonly usage: number;
  readonly limit: number | undefined;
}

/** One line of a pressure file (PSI): shares of time in percent, total in microseconds. */
export interface PressureLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly totalUs: number;
}

export interface Pressure {
  readonly some: PressureLine;
  readonly full: PressureLine | undefined;
}

export interface Pressures {
  readonly cpu: Pressure | undefined;
  readonly memory: Pressure | undefined;
  readonly io: Pressure | undefined;
}

export interface FilesystemUsage {
  /** When it was measured, ms. */
  readonly at: number;
  /** `/dev/vda1`; empty for what lies on no block device. */
  readonly device: string;
  readonly capacityBytes: number;
  readonly availableBytes: number;
  readonly usedBytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
  readonly inodesUsed: number;
}
