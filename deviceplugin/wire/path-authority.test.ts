import { expect, test } from 'vitest';
import { PathAuthorities } from './path-authority.js';

const path = '/var/lib/kubelet/device-plugins/kubelet.sock';
const clean = path.replaceAll('/', '.');
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** `:authority` in the static table, then `x` as a name of its own with the same path as value, which is nobody's concern. */
const fields = (authority: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from([0x83, 0x86, 0x3f, 0xe1, 0x1f, 0x04, 1]),
    Buffer.from('/'),
    Buffer.from([0x41]),
    authority,
    Buffer.from([0x40, 1]),
    Buffer.from('x'),
    Buffer.from([path.length]),
    Buffer.from(path),
  ]);
const plain = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);

function frame(type: number, flags: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  return Buffer.concat([header, payload]);
}

const settings = frame(4, 0, Buffer.alloc(6, 1));
const data = frame(0, 1, Buffer.from('\x41/not/a/header'));
const padding = (block: Buffer): Buffer => Buffer.concat([Buffer.from([3]), block, Buffer.alloc(3)]);
const prioritised = (block: Buffer): Buffer => Buffer.concat([Buffer.alloc(5, 0x41), block]);

/** A stream that says the authority in three ways. */
const stream = (text: string): Buffer =>
  Buffer.concat([
    ...[preface, settings, frame(1, 4, fields(plain(text))), data],
    ...[frame(1, 4 | 0x08, padding(fields(plain(text)))), frame(1, 4 | 0x20, prioritised(fields(plain(text)))), data],
  ]);

test.each([1, 2, 7, 10_000])('slashes of the authority alone, in pieces of %i bytes', (size) => {
  const authorities = new PathAuthorities();
  const sent = stream(path);
  const got: Buffer[] = [];
  for (let at = 0; at < sent.length; at += size)
    got.push(Buffer.from(authorities.next(Buffer.from(sent.subarray(at, at + size)))));
  expect(Buffer.concat(got).toString('latin1')).toBe(stream(clean).toString('latin1'));
});

test('in the code of HPACK, too', () => {
  // "/run/a.sock" and ".run.a.sock", as any encoder writes them.
  const coded = (bits: string): Buffer => {
    const bytes = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1').match(/.{8}/g) ?? [];
    return Buffer.from([0x80 | bytes.length, ...bytes.map((each) => Number.parseInt(each, 2))]);
  };
  const codes: Readonly<Record<string, string>> = {
    ...{ '/': '011000', '.': '010111', r: '101100', u: '101101', n: '101010', a: '00011', s: '01000', o: '00111' },
    ...{ c: '00100', k: '1110101', Z: '11111101' },
  };
  const write = (text: string): Buffer =>
    coded(
      text
        .split('')
        .map((sign) => codes[sign] ?? '')
        .join(''),
    );
  for (const [said, wanted] of [
    ['/run/a.sock', '.run.a.sock'],
    ['kZ/ko/Z/ok/', 'kZ.ko.Z.ok.'],
    ['run', 'run'],
  ] as const) {
    const got = new PathAuthorities().next(Buffer.concat([preface, frame(1, 4, fields(write(said)))]));
    expect(got.toString('hex')).toBe(Buffer.concat([preface, frame(1, 4, fields(write(wanted)))]).toString('hex'));
  }
});

test('what is no HTTP/2 passes', () => {
  const authorities = new PathAuthorities();
  const text = 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n';
  const got = [text.slice(0, 20), text.slice(20)].map((piece) => authorities.next(Buffer.from(piece)).toString());
  expect(text.startsWith(got.join(''))).toBe(true);
});
