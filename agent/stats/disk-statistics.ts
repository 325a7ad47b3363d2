/** What the kernel counts of one whole disk or partition, in /proc/diskstats. */
export interface DiskStatistics {
  readonly reads: number;
  readonly readsMerged: number;
  readonly sectorsRead: number;
  readonly readMs: number;
  readonly writes: number;
  readonly writesMerged: number;
  readonly sectorsWritten: number;
  readonly writeMs: number;
  readonly inFlight: number;
  readonly ioMs: number;
  readonly weightedIoMs: number;
}

/** By device, as `/dev/vda`. */
export function parseDiskStats(text: string): ReadonlyMap<string, DiskStatistics> {
  const found = new Map<string, DiskStatistics>();
  for (const line of text.split('\n')) {
    const [, , name, ...rest] = line.trim().split(/\s+/);
    if (name === undefined) continue;
    const at = (index: number): number => Number(rest[index] ?? 0);
    found.set(`/dev/${name}`, {
      reads: at(0),
      readsMerged: at(1),
      sectorsRead: at(2),
      readMs: at(3),
      writes: at(4),
      writesMerged: at(5),
      sectorsWritten: at(6),
      writeMs: at(7),
      inFlight: at(8),
      ioMs: at(9),
      weightedIoMs: at(10),
    });
  }
  return found;
}
