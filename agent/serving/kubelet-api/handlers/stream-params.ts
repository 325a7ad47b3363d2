import type { CommandStreams } from '../../../../cri/streaming/index.js';
import { HttpError } from '../http-error.js';

/** The streams an exec or attach asks for: `input`, `output`, `error` and `tty`, each `1` (facts 9.2). */
export function commandStreams(query: URLSearchParams): CommandStreams {
  const on = (name: string): boolean => query.get(name) === '1';
  const tty = on('tty');
  const streams = { stdin: on('input'), stdout: on('output'), stderr: on('error') && !tty, tty };
  if (!streams.stdin && !streams.stdout && !streams.stderr)
    throw new HttpError(400, 'you must specify at least 1 of stdin, stdout, stderr');
  return streams;
}

/** The ports that a WebSocket client names up front, one `port` parameter each or several in one with commas. */
export function forwardedPorts(query: URLSearchParams): readonly number[] {
  const texts = query.getAll('port').flatMap((each) => each.split(','));
  if (texts.length === 0) throw new HttpError(400, 'query parameter "port" is required');
  return texts.map((text) => {
    const port = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isNaN(port) || port > 65_535) throw new HttpError(400, `unable to parse "${text}" as a port`);
    if (port === 0) throw new HttpError(400, `port "${text}" must be > 0`);
    return port;
  });
}
