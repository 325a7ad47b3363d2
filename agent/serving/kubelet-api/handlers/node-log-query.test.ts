import { expect, test } from 'vitest';
import { HttpError } from '../http-error.js';
import type { ProgramEnd } from '../../../../base/run-program.js';
import { journalArguments, journalOf, parseLogQuery, type RunJournalctl } from './node-log-query.js';

function parsed(text: string): unknown {
  try {
    const found = parseLogQuery(new URLSearchParams(text));
    // Only what was said.
    return found && JSON.parse(JSON.stringify(found));
  } catch (err) {
    if (err instanceof HttpError) return `${err.failure.status} ${err.message}`;
    throw err;
  }
}

test.each([
  ['', undefined],
  ['tailLines=5', undefined],
  ['query=kubelet', { services: ['kubelet'] }],
  ['query=a&query=b&tailLines=5&boot=-1&pattern=x', { services: ['a', 'b'], tailLines: 5, boot: -1, pattern: 'x' }],
  ['query=/messages', { services: [], file: '/messages' }],
  ['query=dir%5Cfile', { services: [], file: 'dir/file' }],
  ['query=%20', '400 query: Invalid value: cannot be empty'],
  ['query=a&sinceTime=yesterday', '400 sinceTime: Invalid value: "yesterday": invalid time format'],
  ['query=a&tailLines=many', '400 tailLines: Invalid value: "many": invalid syntax'],
  ['query=a%20-b', '406 query: Invalid value: "a -b": input contains unsupported characters'],
  ['query=a&query=b&query=c&query=d&query=e', '406 query: Too many: 5: must have at most 4 items'],
  ['query=a&query=/b', '406 query: Invalid value: cannot specify a file and service'],
  ['query=/a&query=/b', '406 query: Invalid value: cannot specify more than one file'],
  ['query=/a&tailLines=1', '406 query: Invalid value: cannot specify file with options'],
  ['query=a&boot=1', '406 boot: Invalid value: 1: must be less than 1'],
  ['query=a&tailLines=100001', '406 tailLines: Invalid value: 100001: must be between 0 and 100000, inclusive'],
  ['query=a&pattern=(?i)error', { services: ['a'], pattern: '(?i)error' }],
  ['query=a&pattern=(?i:oom)|(?P<who>killed)', { services: ['a'], pattern: '(?i:oom)|(?P<who>killed)' }],
  ['query=a&pattern=(?i', '406 pattern: Invalid value: "(?i"'],
  ['query=a&pattern=(', '406 pattern: Invalid value: "("'],
  [
    'query=a&sinceTime=2026-01-02T00:00:00Z&untilTime=2026-01-01T00:00:00Z',
    '406 untilTime: Invalid value: must be after `sinceTime`',
  ],
])('%s', (text, expected) => expect(parsed(text)).toEqual(expected));

test('a query becomes arguments of journalctl, none of which a client can turn into another one', () => {
  const query = parseLogQuery(
    new URLSearchParams(
      'query=kubelet&sinceTime=2026-01-02T03:04:05%2B01:00&untilTime=2026-01-02T04:04:05Z&tailLines=7&boot=0&pattern=--x',
    ),
  );
  expect(query && journalArguments(query)).toEqual([
    '--utc',
    '--no-pager',
    '--output=short-precise',
    '--since=2026-01-02 02:04:05',
    '--until=2026-01-02 04:04:05',
    '--pager-end',
    '--lines=7',
    '--unit=kubelet',
    '--grep=--x',
    '--boot',
    '0',
  ]);
});

test.each<[string, ProgramEnd, string, string]>([
  ['all of it', { kind: 'exited', code: 0 }, '', 'a line\n'],
  ['why there is none', { kind: 'exited', code: 1 }, 'no such boot\n', 'a line\nno such boot\n'],
  ['that it is cut', { kind: 'output-too-large', limitBytes: 1 }, '', 'a line\n\n-- cut after 16 MiB; ask for less'],
  ['that it took too long', { kind: 'timed-out', afterMs: 1 }, '', 'a line\n\n-- cut after 30 s; ask for less'],
])('who asks the journal is told %s', async (_what, end, stderr, expected) => {
  const common = { argv: [], fd3: Buffer.alloc(0), durationMs: 1 };
  const journalctl: RunJournalctl = (args) =>
    Promise.resolve(
      args.includes('--field=_SYSTEMD_UNIT')
        ? { ...common, end: { kind: 'exited', code: 0 }, stdout: Buffer.from('sshd.service\n'), stderr: '' }
        : { ...common, end, stdout: Buffer.from('a line\n'), stderr },
    );
  const query = parseLogQuery(new URLSearchParams('query=sshd'));
  const told = query && (await journalOf(query, new AbortController().signal, journalctl));
  expect(Buffer.from(told ?? []).toString()).toMatch(new RegExp(`^${expected}`));
  expect(told?.length).toBeLessThan(expected.length + 60);
});
