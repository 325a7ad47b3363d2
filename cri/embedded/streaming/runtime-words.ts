import { readFileSync } from 'node:fs';
import { errnoOf } from '../../../base/errors.js';

/** Why the OCI runtime could not start a command, as it logs it. Empty when it did. */
export function runtimeWords(path: string): string {
  try {
    return errorsIn(readFileSync(path, 'utf8'));
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return '';
    throw err;
  }
}

/** crun logs plain lines; runc puts each in a frame, and also those that are no errors. */
export function errorsIn(log: string): string {
  const lines = log.trim().split('\n');
  return lines.flatMap((line) => framed(line) ?? [line]).join('; ');
}

function framed(line: string): string[] | undefined {
  const match = /^time=\S+ level=(\w+) msg=(.*)$/.exec(line);
  if (match === null) return undefined;
  const [, level = '', text = ''] = match;
  return ['error', 'fatal', 'panic'].includes(level) ? [unquoted(text)] : [];
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
