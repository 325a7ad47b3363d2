import { appendFile, mkdir, mkdtemp, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseLogLine } from './cri-log-line.js';
import { readContainerLog, type ReadLogOptions } from './read-container-log.js';

let dir: string;
let folder: string;
const never = new AbortController().signal;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-logs-'));
  folder = join(dir, 'default_web_u1', 'main');
  await mkdir(folder, { recursive: true });
});
afterEach(() => rm(dir, { recursive: true }));

class Sink extends Writable {
  text = '';
  onText = (): void => {};
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('utf8');
    this.onText();
    done();
  }
  async until(text: string): Promise<void> {
    const deadline = performance.now() + 20_000;
    while (!this.text.includes(text)) {
      if (performance.now() > deadline)
        throw new Error(`never saw ${JSON.stringify(text)} in ${JSON.stringify(this.text)}`);
      await new Promise<void>((resolve) => {
        this.onText = resolve;
        setTimeout(resolve, 100);
      });
    }
  }
}

const place = (container = 'main') => ({ podLogsDir: dir, podFolder: 'default_web_u1', container, attempt: 0 });

async function read(options: ReadLogOptions = {}): Promise<string> {
  const out = new Sink();
  await readContainerLog(place(), options, out, never);
  return out.text;
}

const line = (second: number, text: string, tag = 'F', stream = 'stdout'): string =>
  `2026-01-02T03:04:${String(second).padStart(2, '0')}.000000001Z ${stream} ${tag} ${text}\n`;

async function rotatedLogs(): Promise<void> {
  await writeFile(join(folder, '0.log.20260102-030401.gz'), gzipSync(line(1, 'one') + line(2, 'two')));
  await writeFile(join(folder, '0.log.20260102-030402'), line(3, 'three'));
  await writeFile(join(folder, '0.log'), line(4, 'four') + line(5, 'five'));
  await writeFile(join(folder, '1.log'), line(9, 'another instance'));
}

test('rotated files come first, oldest first, compressed ones too; other instances do not', async () => {
  await rotatedLogs();
  expect(await read()).toBe('one\ntwo\nthree\nfour\nfive\n');
});

test.each([
  [0, ''],
  [1, 'five\n'],
  [2, 'four\nfive\n'],
  [3, 'three\nfour\nfive\n'],
  [4, 'two\nthree\nfour\nfive\n'],
  [9, 'one\ntwo\nthree\nfour\nfive\n'],
])('the last %i lines, across rotated files', async (tailLines, expected) => {
  await rotatedLogs();
  expect(await read({ tailLines })).toBe(expected);
});

/** Open files of this process that lie in the folder of the test. */
async function heldFiles(): Promise<readonly string[]> {
  const targets = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(targets)).filter((target) => target.startsWith(dir));
}

const manyLines = Array.from({ length: 20_000 }, (_, index) => line(1, `${index * 7919}`)).join('');

test.each<[string, ReadLogOptions, Buffer]>([
  ['has its bytes', { limitBytes: 10 }, gzipSync(manyLines)],
  ['finds what is no archive', {}, gzipSync(manyLines).fill(0, 20, 400)],
])('whoever %s leaves no file open', async (_what, options, packed) => {
  await writeFile(join(folder, '0.log.20260102-030401.gz'), packed);
  await read(options);
  await expect.poll(heldFiles).toEqual([]);
});

test.each<[string, Buffer, string]>([
  ['nothing', Buffer.alloc(0), ''],
  ['half of itself', gzipSync(manyLines).subarray(0, 30_000), '0\n7919\n'],
])('a compressed file of which a power cut left %s hides none of the others', async (_what, left, begins) => {
  await writeFile(join(folder, '0.log.20260102-030401.gz'), left);
  await writeFile(join(folder, '0.log.20260102-030402'), line(3, 'three'));
  await writeFile(join(folder, '0.log'), line(4, 'four'));
  const text = await read();
  expect(text.endsWith('three\nfour\n')).toBe(true);
  expect(text.startsWith(begins)).toBe(true);
  expect(await read({ tailLines: 2 })).toBe('three\nfour\n');
  expect((await read({ tailLines: 3 })).endsWith('three\nfour\n')).toBe(true);
});

test('while a file is being compressed it is not shown twice', async () => {
  await writeFile(join(folder, '0.log.20260102-030401'), line(1, 'one'));
  await writeFile(join(folder, '0.log.20260102-030401.gz'), 'half of it');
  await writeFile(join(folder, '0.log.20260102-030401.gz.tmp'), 'less of it');
  await writeFile(join(folder, '0.log'), line(2, 'two'));
  expect(await read()).toBe('one\ntwo\n');
});

test.each<[string, ReadLogOptions, string]>([
  ['pieces of a line are joined', {}, 'abcd\nerr\n'],
  [
    'only the start of a joined line has the timestamp',
    { timestamps: true },
    '2026-01-02T03:04:01.000000001Z abcd\n2026-01-02T03:04:03.000000001Z err\n',
  ],
  ['one stream', { stream: 'stderr' }, 'err\n'],
  ['from an instant on', { sinceMs: Date.parse('2026-01-02T03:04:03Z') }, 'err\n'],
  ['a limit of bytes', { limitBytes: 3 }, 'abc'],
])('%s', async (_what, options, expected) => {
  const text = line(1, 'ab', 'P') + line(2, 'cd') + line(3, 'err', 'F', 'stderr');
  await writeFile(join(folder, '0.log'), `${text}not a log line\n`);
  expect(await read(options)).toBe(expected);
});

test('a last line without its end is shown', async () => {
  await writeFile(join(folder, '0.log'), line(1, 'one') + line(2, 'tw').trimEnd());
  expect(await read()).toBe('one\ntw\n');
  expect(await read({ tailLines: 1 })).toBe('tw\n');
});

test('following goes over a rotation without losing or repeating a line, and ends with the container', async () => {
  const log = join(folder, '0.log');
  await writeFile(log, line(1, 'one'));
  const out = new Sink();
  let ended = false;
  const reading = readContainerLog(place(), { follow: { ended: () => ended } }, out, never);
  await out.until('one\n');
  await appendFile(log, line(2, 'two'));
  await out.until('two\n');
  await rename(log, `${log}.20260102-030405`);
  await appendFile(`${log}.20260102-030405`, line(3, 'written before the reopen'));
  await writeFile(log, line(4, 'four'));
  await out.until('four\n');
  await appendFile(log, line(5, 'last'));
  ended = true;
  await reading;
  expect(out.text).toBe('one\ntwo\nwritten before the reopen\nfour\nlast\n');
});

/** Takes one piece and nothing more until it is let go on. */
class StoppedSink extends Sink {
  #goOn = (): void => {};
  #isStopped = true;
  constructor() {
    super({ highWaterMark: 1 });
  }
  override _write(chunk: Buffer, encoding: string, done: () => void): void {
    const take = (): void => super._write(chunk, encoding, done);
    if (!this.#isStopped) return take();
    this.#goOn = take;
    this.onText();
  }
  async reached(): Promise<void> {
    await new Promise<void>((resolve) => (this.onText = resolve));
  }
  goOn(): void {
    this.#isStopped = false;
    this.#goOn();
  }
}

test('who follows slowly misses nothing of what was rotated more than once meanwhile', async () => {
  const log = join(folder, '0.log');
  await writeFile(`${log}.20260102-030400`, line(0, 'zero'));
  await writeFile(log, line(1, 'one'));
  const out = new StoppedSink();
  let ended = false;
  const reached = out.reached();
  const reading = readContainerLog(place(), { follow: { ended: () => ended } }, out, never);
  await reached;
  await appendFile(log, line(2, 'two'));
  await writeFile(`${log}.20260102-030401.gz`, gzipSync(line(1, 'one') + line(2, 'two')));
  await rm(log);
  await writeFile(`${log}.20260102-030402`, line(3, 'three'));
  await writeFile(`${log}.20260102-030403`, line(4, 'four'));
  await writeFile(log, line(5, 'five'));
  ended = true;
  out.goOn();
  await reading;
  expect(out.text).toBe('zero\none\ntwo\nthree\nfour\nfive\n');
});

test('following ends when the reader goes', async () => {
  await writeFile(join(folder, '0.log'), line(1, 'one'));
  const out = new Sink();
  const stop = new AbortController();
  const reading = readContainerLog(place(), { follow: { ended: () => false } }, out, stop.signal);
  await out.until('one\n');
  stop.abort();
  await reading;
});

test('no link is followed, in whichever place it stands', async () => {
  const secret = join(dir, 'secret');
  await mkdir(secret);
  await writeFile(join(secret, '0.log'), line(1, 'root:x:0:0'));
  await symlink(join(secret, '0.log'), join(folder, '0.log'));
  await expect(read()).rejects.toThrow('ELOOP');
  await symlink(secret, join(dir, 'default_web_u1', 'linked'));
  const out = new Sink();
  await expect(readContainerLog(place('linked'), {}, out, never)).rejects.toThrow(/ELOOP|ENOTDIR/);
  for (const name of ['..', '.', '', '../main', 'a/b'])
    await expect(readContainerLog(place(name), {}, out, never)).rejects.toThrow('not the name of a folder');
  expect(out.text).toBe('');
});

test.each([
  ['2026-01-02T03:04:05.123456789Z stdout F hello world', 'hello world'],
  ['2026-01-02T03:04:05.123456789+02:00 stderr P part', 'part'],
  ['2026-01-02T03:04:05Z stdout F ', ''],
  ['2026-01-02T03:04:05Z stdout F', ''],
  ['2026-01-02T03:04:05Z stdout F:tag more', 'more'],
  ['{"log":"from docker\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}', 'from docker'],
  ['2026-01-02T03:04:05Z stdin F x', undefined],
  ['2026-01-02T03:04:05Z stdout X x', undefined],
  ['{"log":', undefined],
  ['', undefined],
])('a log line %s', (text, content) => {
  expect(parseLogLine(Buffer.from(text))?.content.toString('utf8')).toBe(content);
});
