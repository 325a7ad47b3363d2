/** How often and how many logs are kept (facts 8.3). */
export interface LogRotationPolicy {
  /** Bytes from which a log is rotated; negative turns rotation off. */
  readonly maxBytes: number;
  /** Files of one log, the one being written among them; at least 2. */
  readonly maxFiles: number;
}

/** What to do with the older files of one log before the current one is rotated; names, oldest first. */
export interface LogTidyPlan {
  /** Leftovers of a compression that was cut off, and plain files whose compressed form is complete. */
  readonly leftovers: readonly string[];
  /** More files than may stay once the current one has joined them. */
  readonly excess: readonly string[];
  /** Plain older files that nobody writes to any more. */
  readonly compress: readonly string[];
}

/** `0.log.20260102-150405`, compressed or half way there. Anything else beside a log is somebody else's. */
const rotatedName = /^\.\d{8}-\d{6}(?<gz>\.gz)?(?<tmp>\.tmp)?$/;

/** `names` are all names in the log's folder. */
export function planLogTidy(logName: string, names: readonly string[], maxFiles: number): LogTidyPlan {
  const own = names.filter((name) => name.startsWith(logName) && rotatedName.test(name.slice(logName.length)));
  const all = new Set(own);
  const leftovers = own.filter((name) => name.endsWith('.tmp') || (!name.endsWith('.gz') && all.has(`${name}.gz`)));
  const unused = new Set(leftovers);
  const kept = own.filter((name) => !unused.has(name)).sort();
  // One place is the current log's, one that of the file it is about to become.
  const room = Math.max(maxFiles - 2, 0);
  const excess = kept.slice(0, Math.max(kept.length - room, 0));
  const compress = kept.slice(excess.length).filter((name) => !name.endsWith('.gz'));
  return { leftovers, excess, compress };
}

/** The name the current log gets; UTC, so that names sort by age through changes of the local time. */
export function rotatedLogName(logName: string, now: number): string {
  const [day = '', time = ''] = new Date(now).toISOString().split('T');
  return `${logName}.${day.replaceAll('-', '')}-${time.slice(0, 8).replaceAll(':', '')}`;
}
