import { PassThrough, Writable } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { CommandOutput, outputIdleMs } from './command-output.js';

const { signal } = new AbortController();
const soon = { timeout: 20_000 };

function collected(): { sink: Writable; text: () => string } {
  const pieces: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      pieces.push(chunk.toString());
      done();
    },
  });
  return { sink, text: () => pieces.join('') };
}

/** As a machine does that has no time for this process. */
function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('what a long command printed last is read, though its end is known first', async () => {
  const source = new PassThrough();
  const { sink, text } = collected();
  const output = new CommandOutput(source, sink);
  standStill(outputIdleMs + 10);
  const finished = output.finish(signal);
  setImmediate(() => source.end('the last words'));
  await finished;
  expect(text()).toBe('the last words');
});

test('a process that stood still reads what was printed meanwhile', async () => {
  const source = new PassThrough();
  const { sink, text } = collected();
  const finished = new CommandOutput(source, sink).finish(signal);
  setImmediate(() => {
    standStill(outputIdleMs + 10);
    // What the poll phase would bring, after the timers that are due.
    setImmediate(() => source.end('printed in time'));
  });
  await finished;
  expect(text()).toBe('printed in time');
});

test('an output that is held open and silent ends nothing later than the idle time', async () => {
  const source = new PassThrough();
  const { sink, text } = collected();
  source.write('all there is');
  const began = performance.now();
  await new CommandOutput(source, sink).finish(signal);
  expect(performance.now() - began).toBeGreaterThanOrEqual(outputIdleMs - 1);
  expect(text()).toBe('all there is');
  expect(source.destroyed).toBe(true);
});

test('what came before the command runs is held back until it does', async () => {
  const source = new PassThrough();
  const { sink, text } = collected();
  let runs = false;
  const output = new CommandOutput(source, sink, () => runs);
  source.write('one ');
  await vi.waitFor(() => expect(source.readableLength).toBe(0), soon);
  expect(text()).toBe('');
  runs = true;
  await vi.waitFor(() => expect(text()).toBe('one '), soon);
  source.end('two');
  await output.finish(signal);
  expect(text()).toBe('one two');
});

test.each([true, false])('held back to the end, it is output where the command started (%s)', async (started) => {
  const source = new PassThrough();
  const { sink, text } = collected();
  const output = new CommandOutput(source, sink, () => false);
  source.end('words');
  await vi.waitFor(() => expect(source.readableLength).toBe(0), soon);
  if (started) await output.finish(signal);
  else output.discard();
  expect(text()).toBe(started ? 'words' : '');
});

test('more than an OCI runtime says is output', async () => {
  const source = new PassThrough();
  const { sink, text } = collected();
  const output = new CommandOutput(source, sink, () => false);
  source.end('x'.repeat(70_000));
  await vi.waitFor(() => expect(text()).toHaveLength(70_000), soon);
  await output.finish(signal);
});
