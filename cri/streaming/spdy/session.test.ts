import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createDeflate } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { FrameReader, encodeFrame, type Frame } from './frames.js';
import { HeaderReader, HeaderWriter } from './headers.js';
import { headerDictionary } from './dictionary.js';
import { SpdySession, type SpdySessionOptions } from './session.js';
import type { SpdyStream } from './stream.js';

/** Two ends of a wire in memory that hands bytes over in pieces. */
function wire(pieceSize = Infinity): [Duplex, Duplex] {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        for (let at = 0; at < chunk.length; at += pieceSize) other().push(chunk.subarray(at, at + pieceSize));
        setImmediate(done);
      },
      final(done) {
        other().push(null);
        done();
      },
    });
  const left: Duplex = make(() => right);
  const right: Duplex = make(() => left);
  return [left, right];
}

describe('header blocks', () => {
  const headers = fc.dictionary(
    fc.string({ minLength: 1, maxLength: 20 }).map((name) => name.toLowerCase()),
    fc.string({ maxLength: 200 }),
    { maxKeys: 8 },
  );

  test('what one end packs the other unpacks, block after block', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(headers, { maxLength: 5 }), async (blocks) => {
        const writer = new HeaderWriter();
        const reader = new HeaderReader();
        for (const block of blocks) expect({ ...(await reader.unpack(writer.pack(block))) }).toEqual({ ...block });
        reader.close();
      }),
    );
  });

  test('blocks of a compressor that really compresses are read', async () => {
    const deflate = createDeflate({ dictionary: headerDictionary() });
    const compressed: Buffer[] = [];
    deflate.on('data', (chunk: Buffer) => compressed.push(chunk));
    const pack = async (plain: Buffer): Promise<Buffer> => {
      deflate.write(plain);
      await new Promise<void>((resolve) => deflate.flush(2, resolve));
      return Buffer.concat(compressed.splice(0));
    };
    const plain = Buffer.concat([
      Buffer.from([0, 0, 0, 1, 0, 0, 0, 10]),
      Buffer.from('Streamtype'),
      Buffer.from([0, 0, 0, 5]),
      Buffer.from('stdin'),
    ]);
    const reader = new HeaderReader();
    for (let i = 0; i < 3; i++)
      expect({ ...(await reader.unpack(await pack(plain))) }).toEqual({ streamtype: 'stdin' });
    reader.close();
  });

  test('a block that swells is refused', async () => {
    const deflate = createDeflate({ dictionary: headerDictionary() });
    const compressed: Buffer[] = [];
    deflate.on('data', (chunk: Buffer) => compressed.push(chunk));
    deflate.write(Buffer.alloc(4 * 1024 * 1024));
    await new Promise<void>((resolve) => deflate.flush(2, resolve));
    await expect(new HeaderReader().unpack(Buffer.concat(compressed))).rejects.toThrow('too long');
  });

  test('a block that is cut short is refused', async () => {
    const deflate = createDeflate({ dictionary: headerDictionary() });
    const compressed: Buffer[] = [];
    deflate.on('data', (chunk: Buffer) => compressed.push(chunk));
    deflate.write(Buffer.from([0, 0, 0, 9, 0, 0, 0, 1, 97]));
    await new Promise<void>((resolve) => deflate.flush(2, resolve));
    await expect(new HeaderReader().unpack(Buffer.concat(compressed))).rejects.toThrow('cut short');
  });
});

describe('frames', () => {
  test('are the same wherever the bytes are cut', () => {
    const bytes = Buffer.concat([
      encodeFrame.settings(1000),
      encodeFrame.synStream(1, Buffer.from('abc')),
      encodeFrame.dataHead(1, 5, true),
      Buffer.from('hello'),
      encodeFrame.ping(7),
      encodeFrame.windowUpdate(1, 12),
      encodeFrame.rstStream(1, 5),
      encodeFrame.goaway(1),
    ]);
    const expected = [...new FrameReader().push(bytes)].map(readable);
    expect(expected.map(({ type }) => type)).toEqual([
      'settings',
      'syn-stream',
      'data',
      'ping',
      'window-update',
      'rst-stream',
      'goaway',
    ]);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 10 }), (cuts) => {
        const reader = new FrameReader();
        const frames: object[] = [];
        let from = 0;
        for (const to of [...cuts.sort((a, b) => a - b), bytes.length]) {
          frames.push(...[...reader.push(bytes.subarray(from, to))].map(readable));
          from = to;
        }
        expect(frames).toEqual(expected);
      }),
    );
  });

  test('nonsense is refused, not buffered', () => {
    expect(() => [...new FrameReader().push(Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0]))]).toThrow('version 2');
    expect(() => [...new FrameReader().push(Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff]))]).toThrow('16777215');
    expect(() => [...new FrameReader().push(Buffer.from([0x80, 3, 0, 3, 0, 0, 0, 2, 0, 0]))]).toThrow('cut short');
  });
});

function readable(frame: Frame): { type: string } {
  return JSON.parse(JSON.stringify(frame)) as { type: string };
}

describe('connections', () => {
  const sessions: SpdySession[] = [];
  afterEach(() => {
    for (const session of sessions.splice(0)) session.destroy(new Error('test over'));
  });

  function connect(onStream: SpdySessionOptions['onStream'], pieceSize?: number): SpdySession {
    const [left, right] = wire(pieceSize);
    const client = new SpdySession(left, { role: 'client' });
    sessions.push(client, new SpdySession(right, { role: 'server', onStream }));
    return client;
  }

  test.each([1, 7, 1000, Infinity])('streams carry data and half-close, in pieces of %s bytes', async (pieceSize) => {
    const client = connect((stream) => {
      stream.write(`${stream.headers['streamtype'] ?? ''}:`);
      stream.pipe(stream);
    }, pieceSize);
    const [one, two] = await Promise.all([client.open({ streamType: 'one' }), client.open({ streamType: 'two' })]);
    one.end('hello');
    two.write('good');
    two.end('bye');
    expect([await text(one), await text(two)]).toEqual(['one:hello', 'two:goodbye']);
  });

  test('more than the window goes through, and a reader that is slow holds the writer up', async () => {
    let server: SpdyStream | undefined;
    const client = connect((stream) => {
      server = stream;
    });
    const stream = await client.open({});
    const data = Buffer.alloc(3 * 1024 * 1024, 'x');
    let sent = false;
    stream.end(data, () => (sent = true));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(sent).toBe(false);
    expect(server?.readableLength).toBeLessThan(1024 * 1024);
    expect((await text(server as SpdyStream)).length).toBe(data.length);
    expect(sent).toBe(true);
  });

  test('a stream that is destroyed is reset on the other side; what came before is read', async () => {
    const client = connect((stream) => {
      stream.write('last words', () => stream.destroy());
    });
    const stream = await client.open({});
    expect(await text(stream)).toBe('last words');
    expect(stream.lost).toBe(true);
  });

  test('refused streams reject', async () => {
    const client = connect(undefined);
    await expect(client.open({})).rejects.toThrow('reset');
  });

  test('a lost connection ends every stream and says why', async () => {
    const [left, right] = wire();
    const client = new SpdySession(left, { role: 'client' });
    const server = new SpdySession(right, { role: 'server', onStream: (stream) => void stream.write('hi') });
    sessions.push(client, server);
    const stream = await client.open({});
    server.close();
    expect(await text(stream)).toBe('hi');
    if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', () => resolve()));
    expect(client.closed.aborted).toBe(true);
    await expect(client.open({})).rejects.toThrow('closed it');
  });

  test('a peer that never opens its window again is not waited for', async () => {
    const [left, right] = wire();
    const client = new SpdySession(left, { role: 'client' });
    sessions.push(client);
    // Reads frames, replies to streams, and does nothing about windows: as moby/spdystream.
    const frames = new FrameReader();
    const replies = new HeaderWriter();
    let received = 0;
    right.on('data', (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) {
        if (frame.type === 'syn-stream') right.write(encodeFrame.synReply(frame.streamId, replies.pack({})));
        if (frame.type === 'data') received += frame.data.length;
      }
    });
    const stream = await client.open({});
    await new Promise<void>((resolve) => stream.end(Buffer.alloc(1024 * 1024), resolve));
    expect(received).toBe(1024 * 1024);
  });

  test('pings are answered', async () => {
    const [left, right] = wire();
    sessions.push(new SpdySession(left, { role: 'server' }));
    const frames = new FrameReader();
    const answer = new Promise<Frame>((resolve) => {
      right.on('data', (chunk: Buffer) => {
        for (const frame of frames.push(chunk)) if (frame.type === 'ping') resolve(frame);
      });
    });
    right.write(encodeFrame.ping(1));
    expect(await answer).toEqual({ type: 'ping', id: 1 });
  });
});
