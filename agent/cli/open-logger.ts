import type { Logger } from '../../base/log.js';
import { humanLogger } from './human-logger.js';
import type { LogLevel } from './log-level.js';

/** Lines for people on a terminal, JSON for everything that collects logs. Both on standard error. */
export async function openLogger(level: LogLevel): Promise<Logger> {
  if (process.stderr.isTTY) return humanLogger(level, (line) => process.stderr.write(line));
  const { pino } = await import('pino');
  const log: Logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 2, sync: true }),
  );
  return log;
}
