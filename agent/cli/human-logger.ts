import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { logLevels, type LogLevel } from './log-level.js';

/** `12:03:04 warn   step failed  step=create-sandbox attempt=2 reason="no network"` */
export function humanLogger(level: LogLevel, write: (line: string) => void, bound: object = {}): Logger {
  const least = logLevels.indexOf(level);
  const log =
    (own: LogLevel) =>
    (fields: object, message: string): void => {
      if (logLevels.indexOf(own) < least) return;
      const all = Object.entries({ ...bound, ...fields }).filter(([, value]) => value !== undefined);
      const details = all.map(([name, value]) => ` ${name}=${fieldText(value)}`).join('');
      write(
        `${new Date().toTimeString().slice(0, 8)} ${own.padEnd(5)}  ${message}${details === '' ? '' : ` ${details}`}\n`,
      );
    };
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: (fields) => humanLogger(level, write, { ...bound, ...fields }),
  };
}

function fieldText(value: unknown): string {
  const text = value instanceof Error ? errorText(value) : typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w./:@%+,-]+$/.test(text)
    ? text
    : typeof value === 'string' || value instanceof Error
      ? JSON.stringify(text)
      : text;
}
