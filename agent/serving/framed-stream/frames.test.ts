import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, FrameDecoder, frameTypes, maxFrameBytes, type FrameType } from './frames.js';

const frame = fc.record({
  type: fc.constantFrom<FrameType>(...Object.values(frameTypes)),
  payload: fc.uint8Array({ maxLength: 40 }),
});

test('frames come out as they went in, however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 9 })), (frames, cuts) => {
      const bytes = Buffer.concat(frames.map(({ type, payload }) => encodeFrame(type, payload)));
      const decoder = new FrameDecoder();
      const seen: { type: number; payload: Uint8Array }[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        seen.push(...decoder.push(bytes.subarray(at, at + cut)));
        at = Math.min(at + cut, bytes.length);
      }
      expect(seen.map(({ type, payload }) => ({ type, payload: new Uint8Array(payload) }))).toEqual(frames);
    }),
  );
});

test.each([
  ['an unknown type', Buffer.from([9, 0, 0, 0, 0])],
  ['a length nobody can mean', encodeHeader(1, maxFrameBytes + 1)],
])('%s is refused', (_what, bytes) => {
  expect(() => new FrameDecoder().push(bytes)).toThrow(/read stream/);
});

function encodeHeader(type: number, length: number): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(length, 1);
  return header;
}
