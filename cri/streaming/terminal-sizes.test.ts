import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import type { TerminalSize } from '../contract/streaming-service.js';
import { encodeTerminalSize, readTerminalSizes } from './terminal-sizes.js';

async function read(...pieces: string[]): Promise<TerminalSize[]> {
  const sizes: TerminalSize[] = [];
  for await (const size of readTerminalSizes(Readable.from(pieces.map((piece) => Buffer.from(piece)))))
    sizes.push(size);
  return sizes;
}

test('sizes are read wherever the bytes are cut', async () => {
  const [one, two] = [
    { columns: 80, rows: 24 },
    { columns: 111, rows: 33 },
  ];
  const bytes = encodeTerminalSize(one) + encodeTerminalSize(two);
  for (let cut = 0; cut <= bytes.length; cut++) {
    expect(await read(bytes.slice(0, cut), bytes.slice(cut))).toEqual([one, two]);
  }
});

test('nonsense between sizes is passed over', async () => {
  expect(await read('{"Width":-1,"Height":2}{oops}{"Width":1e9,"Height":1}{"Width":5,"Height":6}')).toEqual([
    { columns: 5, rows: 6 },
  ]);
});
