import { runProgram, type ProgramEnd, type ProgramResult } from '../../../../base/run-program.js';
import { HttpError } from '../http-error.js';

/** `/logs?query=...`: what is asked of the machine's logs. Either services or one file. */
export interface NodeLogQuery {
  readonly services: readonly string[];
  readonly file: string | undefined;
  readonly sinceTime: string | undefined;
  readonly untilTime: string | undefined;
  readonly tailLines: number | undefined;
  readonly boot: number | undefined;
  readonly pattern: string | undefined;
}

const most = { services: 4, nameLength: 256, tailLines: 100_000 };

/** Undefined where nothing is queried. Throws the kubelet's answers: 400 for what cannot be read, 406 for what makes no sense. */
export function parseLogQuery(query: URLSearchParams): NodeLogQuery | undefined {
  const asked = query.getAll('query');
  if (asked.length === 0) return undefined;
  const words = asked.filter((each) => each.trim() !== '');
  if (words.length === 0) throw new HttpError(400, 'query: Invalid value: cannot be empty');
  const files = words.filter((each) => /[/\\]/.test(each)).map((each) => each.replaceAll('\\', '/'));
  const parsed: NodeLogQuery = {
    services: words.filter((each) => !/[/\\]/.test(each)),
    file: files[0],
    sinceTime: time(query, 'sinceTime'),
    untilTime: time(query, 'untilTime'),
    tailLines: whole(query, 'tailLines'),
    boot: whole(query, 'boot'),
    pattern: query.get('pattern') || undefined,
  };
  const problem = problemOf(parsed, files.length);
  if (problem !== undefined) throw new HttpError(406, problem);
  return parsed;
}

export const hasOptions = ({ sinceTime, untilTime, tailLines, boot, pattern }: NodeLogQuery): boolean =>
  [sinceTime, untilTime, tailLines, boot, pattern].some((each) => each !== undefined);

function problemOf(query: NodeLogQuery, files: number): string | undefined {
  const { services, sinceTime, untilTime, tailLines, boot, pattern } = query;
  const bad = services.find((name) => name.length > most.nameLength || !/^[a-zA-Z0-9\-_.:@]+$/.test(name));
  if (bad !== undefined) return `query: Invalid value: ${JSON.stringify(bad)}: input contains unsupported characters`;
  if (services.length > most.services)
    return `query: Too many: ${services.length}: must have at most ${most.services} items`;
  if (files > 0 && services.length > 0) return 'query: Invalid value: cannot specify a file and service';
  if (files > 1) return 'query: Invalid value: cannot specify more than one file';
  if (files === 1 && hasOptions(query)) return 'query: Invalid value: cannot specify file with options';
  if (sinceTime && untilTime && Date.parse(sinceTime) > Date.parse(untilTime))
    return 'untilTime: Invalid value: must be after `sinceTime`';
  if (boot !== undefined && boot > 0) return `boot: Invalid value: ${boot}: must be less than 1`;
  if (tailLines !== undefined && (tailLines < 0 || tailLines > most.tailLines))
    return `tailLines: Invalid value: ${tailLines}: must be between 0 and ${most.tailLines}, inclusive`;
  if (pattern !== undefined && !isPattern(pattern)) return `pattern: Invalid value: ${JSON.stringify(pattern)}`;
  return undefined;
}

function time(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)))
    return text;
  throw new HttpError(400, `${name}: Invalid value: ${JSON.stringify(text)}: invalid time format`);
}

function whole(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new HttpError(400, `${name}: Invalid value: ${JSON.stringify(text)}: invalid syntax`);
}

/** Judged by our own engine, which writes flags and names of groups in another way than `journalctl`'s does. */
function isPattern(text: string): boolean {
  const source = text
    .replaceAll(/\(\?[imsU]*(?:-[imsU]+)?\)/g, '')
    .replaceAll(/\(\?[imsU]*(?:-[imsU]+)?:/g, '(?:')
    .replaceAll('(?P<', '(?<');
  try {
    return new RegExp(source) instanceof RegExp;
  } catch {
    return false;
  }
}

const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' };
const journalMs = 30_000;
const mostBytes = 16 * 1024 * 1024;

/** Runs `journalctl` with these arguments. */
export type RunJournalctl = (args: readonly string[], signal: AbortSignal) => Promise<ProgramResult>;

/** What `journalctl` knows of the services and says to the question; undefined where it knows none of them, or is not there. */
export async function journalOf(
  query: NodeLogQuery,
  signal: AbortSignal,
  journalctl: RunJournalctl = runJournalctl,
): Promise<Uint8Array | undefined> {
  const fields = await journalctl(['--utc', '--no-pager', '--field=_SYSTEMD_UNIT'], signal);
  const units = new Set(fields.stdout.toString('utf8').split('\n'));
  const known = query.services.filter((name) => units.has(name) || units.has(`${name}.service`));
  if (known.length === 0) return undefined;
  const { stdout, stderr, end } = await journalctl(journalArguments({ ...query, services: known }), signal);
  return Buffer.concat([stdout, Buffer.from(`${stderr}${endWords(end)}`)]);
}

/** Why there is not more; who reads must not take a part for the whole. */
function endWords(end: ProgramEnd): string {
  const hint = 'ask for less with sinceTime, untilTime or tailLines';
  if (end.kind === 'output-too-large') return `\n-- cut after ${mostBytes / 1024 / 1024} MiB; ${hint} --\n`;
  if (end.kind === 'timed-out') return `\n-- cut after ${journalMs / 1000} s; ${hint} --\n`;
  return '';
}

export function journalArguments({ services, sinceTime, untilTime, tailLines, boot, pattern }: NodeLogQuery): string[] {
  const stamp = (text: string): string => new Date(text).toISOString().slice(0, 19).replace('T', ' ');
  return [
    ...['--utc', '--no-pager', '--output=short-precise'],
    ...(sinceTime === undefined ? [] : [`--since=${stamp(sinceTime)}`]),
    ...(untilTime === undefined ? [] : [`--until=${stamp(untilTime)}`]),
    ...(tailLines === undefined ? [] : ['--pager-end', `--lines=${tailLines}`]),
    ...services.map((name) => `--unit=${name}`),
    ...(pattern === undefined ? [] : [`--grep=${pattern}`]),
    ...(boot === undefined ? [] : ['--boot', String(boot)]),
  ];
}

async function runJournalctl(args: readonly string[], signal: AbortSignal): Promise<ProgramResult> {
  const argv: [string, ...string[]] = ['journalctl', ...args];
  return await runProgram({ argv, env: environment, timeoutMs: journalMs, maxOutputBytes: mostBytes }, signal);
}
