import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LogLineParser } from './log-lines.js';

const time = '2026-01-02T03:04:05.123456789+00:00';

test('full and partial lines of both streams', () => {
  const pieces = new LogLineParser().push(
    Buffer.from(`${time} stdout F one\n${time} stderr P part\n${time} stderr F  of two\n${time} stdout F \n`),
  );
  expect(pieces.map(({ stream, data }) => [stream, data.toString()])).toEqual([
    ['stdout', 'one\n'],
    ['stderr', 'part'],
    ['stderr', ' of two\n'],
    ['stdout', '\n'],
  ]);
});

test('tags after the first and lines in another form', () => {
  const pieces = new LogLineParser().push(Buffer.from(`${time} stdout P:x a b\nnot a line\n\n${time} stdin F x\n`));
  expect(pieces.map(({ data }) => data.toString())).toEqual(['a b']);
});

test('however the bytes are cut, the same comes out, bytes unharmed', () => {
  const line = fc.record({
    stream: fc.constantFrom('stdout', 'stderr'),
    tag: fc.constantFrom('F', 'P'),
    data: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 10))),
  });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.array(fc.nat(30), { maxLength: 50 }), (lines, cuts) => {
      const bytes = Buffer.concat(
        lines.flatMap(({ stream, tag, data }) => [Buffer.from(`${time} ${stream} ${tag} `), data, Buffer.from('\n')]),
      );
      const parser = new LogLineParser();
      const pieces = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        pieces.push(...parser.push(bytes.subarray(at, at + cut)));
        at += cut;
      }
      expect(pieces.map(({ stream, data }) => [stream, data.toString('hex')])).toEqual(
        lines.map(({ stream, tag, data }) => [stream, data.toString('hex') + (tag === 'F' ? '0a' : '')]),
      );
    }),
  );
});
