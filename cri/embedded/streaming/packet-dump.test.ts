import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PacketDump } from './packet-dump.js';

const dumped = (packet: Buffer): string =>
  `> 2026/11/21 15:25:40.000125324  length=${packet.length} from=0 to=${packet.length - 1}\n` +
  `${[...packet].map((byte) => ` ${byte.toString(16).padStart(2, '0')}`).join('')}\n`;

test('packets keep their borders and their stream, however the dump is cut', () => {
  const packets = fc.array(
    fc.record({
      stream: fc.constantFrom('stdout' as const, 'stderr' as const),
      data: fc.uint8Array({ maxLength: 50 }),
    }),
  );
  fc.assert(
    fc.property(packets, fc.integer({ min: 1, max: 40 }), (sent, cut) => {
      const dump = new PacketDump();
      const seen: unknown[] = [];
      const bytes = Buffer.from(
        sent.map(({ stream, data }) => dumped(Buffer.from([stream === 'stdout' ? 2 : 3, ...data]))).join(''),
      );
      for (let at = 0; at < bytes.length; at += cut) {
        dump.push(bytes.subarray(at, at + cut));
        seen.push(...dump.take().map(({ stream, data }) => ({ stream, data: Uint8Array.from(data) })));
      }
      expect(seen).toEqual(sent);
    }),
  );
});

test('notices say when it has begun, and what went wrong', () => {
  const dump = new PacketDump();
  dump.push(Buffer.from('2026/11/21 15:25:40 socat[7] E connect(5, AF=1 "attach", 8): No such file or directory\n'));
  expect(dump.lastWords).toBe('connect(5, AF=1 "attach", 8): No such file or directory');
  expect(dump.begun).toBe(false);
  dump.push(Buffer.from('2026/11/21 15:25:40 socat[7] N starting data transfer loop with FDs [5,5] and [1,1]\n'));
  expect(dump.begun).toBe(true);
  expect(dump.take()).toEqual([]);
});
