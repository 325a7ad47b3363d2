import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { criAnnotations } from '../../cri/index.js';
import { terminationMessage } from './termination-message.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-last-words-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function messageOf(file: string | Buffer, log: string | Buffer = ''): Promise<string> {
  const [hostPath, logPath] = [join(dir, 'message'), join(dir, '0.log')];
  await writeFile(hostPath, file);
  await writeFile(logPath, log);
  return await terminationMessage({
    exitCode: 1,
    logPath,
    mounts: [{ containerPath: '/dev/termination-log', hostPath }],
    annotations: {
      [criAnnotations.terminationMessagePath]: '/dev/termination-log',
      [criAnnotations.terminationMessagePolicy]: 'FallbackToLogsOnError',
    },
  });
}

const record = (text: string, tag = 'F'): string => `2026-01-02T03:04:05.000000001Z stdout ${tag} ${text}\n`;

test('of a message that is too long the end counts: that is where the reason stands', async () => {
  expect(await messageOf(`${'trace '.repeat(1000)}out of luck`)).toMatch(/^(trace |ace |ce |e | |race )+out of luck$/);
  expect(await messageOf(`${'trace '.repeat(1000)}out of luck`)).toHaveLength(4096);
});

test.each([
  ['a record longer than what is told', record(`${'x'.repeat(15_000)}the end`), /^x{2040}the end\n$/],
  [
    'a line in pieces',
    record('a'.repeat(1000), 'P') + record('b'.repeat(500), 'P') + record('c'),
    /^a{1000}b{500}c\n$/,
  ],
  ['more lines than are told', record('line').repeat(100), /^(line\n){80}$/],
  ['two lines', record('one') + record('two'), /^one\ntwo\n$/],
  ['a line that is not ended', record('one') + record('two', 'P'), /^one\ntwo$/],
  ['lines that are no records', `not a record\n${record('one')}`, /^one\n$/],
  ['the log of docker', '{"log":"one\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}\n', /^one\n$/],
])('the end of the log: %s', async (_what, log, expected) => {
  expect(await messageOf('', log)).toMatch(expected);
});

test('no character is cut in half', async () => {
  for (const text of ['é'.repeat(3000), `x${'é'.repeat(3000)}`]) {
    expect(await messageOf(text)).toMatch(/^é{2047,2048}$/);
    expect(await messageOf('', record(text))).toMatch(/^é{1023}\n$/);
  }
});
