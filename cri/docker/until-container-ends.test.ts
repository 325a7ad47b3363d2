import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { untilContainerEnds } from './until-container-ends.js';

async function read(source: PassThrough, ended: Promise<boolean>): Promise<string> {
  let text = '';
  for await (const chunk of untilContainerEnds<Buffer>(source, ended)) text += chunk.toString();
  return text;
}

test('a connection that stays open after the end of its container is read until nothing more comes', async () => {
  const source = new PassThrough();
  source.write('one ');
  let tell = (_known: boolean): void => {};
  const reading = read(source, new Promise((resolve) => (tell = resolve)));
  tell(true);
  setTimeout(() => source.write('two'), 50);
  expect(await reading).toBe('one two');
});

test('a container that had ended before anything came', async () => {
  expect(await read(new PassThrough(), Promise.resolve(true))).toBe('');
});

test('a connection that ends by itself, and one of which nothing is known, are read to their end', async () => {
  const first = new PassThrough();
  first.end('all of it');
  expect(await read(first, new Promise(() => {}))).toBe('all of it');
  const second = new PassThrough();
  const reading = read(second, Promise.resolve(false));
  setTimeout(() => second.end('late'), 700);
  expect(await reading).toBe('late');
});

test('a reader that is slow loses nothing', async () => {
  const source = new PassThrough();
  for (let line = 0; line < 5; line++) source.write(`${line}`.repeat(20_000));
  let length = 0;
  for await (const chunk of untilContainerEnds<Buffer>(source, Promise.resolve(true))) {
    length += chunk.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(length).toBe(100_000);
});

test('the connection that is closed after that fails nothing', async () => {
  const source = new PassThrough();
  expect(await read(source, Promise.resolve(true))).toBe('');
  source.destroy(new Error('closed'));
  await new Promise((resolve) => setImmediate(resolve));
});
