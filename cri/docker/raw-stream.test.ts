import { PassThrough, Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { separateStreams } from './raw-stream.js';

function frame(stream: 1 | 2, data: string): Buffer {
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(Buffer.byteLength(data), 4);
  return Buffer.concat([head, Buffer.from(data)]);
}

test('both streams arrive whole wherever the bytes are cut', async () => {
  const bytes = Buffer.concat([frame(1, 'one '), frame(2, 'err'), frame(1, ''), frame(1, 'two')]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 8 }), async (cuts) => {
      const borders = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const pieces = borders.slice(1).map((end, index) => bytes.subarray(borders[index], end));
      const [stdout, stderr] = [new PassThrough(), new PassThrough()];
      await separateStreams(Readable.from(pieces), { stdout, stderr });
      stdout.end();
      stderr.end();
      expect([await text(stdout), await text(stderr)]).toEqual(['one two', 'err']);
    }),
  );
});

test('a stream nobody wants is passed over, one that is closed too', async () => {
  const stdout = new PassThrough();
  stdout.destroy();
  await separateStreams(Readable.from([frame(1, 'a'), frame(2, 'b')]), { stdout });
});

test('a reader that is slow holds the reading up', async () => {
  let pending = 0;
  let most = 0;
  const stdout = new Writable({
    highWaterMark: 10,
    write(_chunk, _encoding, done) {
      setImmediate(() => {
        pending--;
        done();
      });
    },
  });
  const source = function* source(): Generator<Buffer> {
    for (let i = 0; i < 50; i++) {
      most = Math.max(most, ++pending);
      yield frame(1, 'ten bytes!');
    }
  };
  await separateStreams(Readable.from(source(), { highWaterMark: 1 }), { stdout });
  expect(most).toBeLessThan(5);
});
