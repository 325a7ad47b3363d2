import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** One call that reached the peer. */
export interface DBusCall {
  readonly interface: string;
  readonly member: string;
  readonly path: string;
  /** The arguments, when all of them are strings. */
  readonly strings: readonly string[];
}

/** `signature` and the bytes of the body; a string answers with an error of that name. */
export type DBusAnswer = { readonly signature: string; readonly body: Buffer } | string;

const methodCall = 1;
const methodReturn = 2;
const error = 3;
const fields = {
  path: 1,
  interface: 2,
  member: 3,
  errorName: 4,
  replySerial: 5,
  destination: 6,
  sender: 7,
  signature: 8,
};

const padded = (length: number, to: number): number => Math.ceil(length / to) * to;

/** Little-endian marshalling of what this peer says. */
class Writer {
  #bytes = Buffer.alloc(0);

  get bytes(): Buffer {
    return this.#bytes;
  }

  align(to: number): this {
    return this.raw(Buffer.alloc(padded(this.#bytes.length, to) - this.#bytes.length));
  }

  raw(bytes: Uint8Array): this {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    return this;
  }

  uint32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return this.align(4).raw(bytes);
  }

  string(text: string): this {
    return this.uint32(Buffer.byteLength(text)).raw(Buffer.from(`${text}\0`));
  }

  signature(text: string): this {
    return this.raw(Buffer.from([text.length])).raw(Buffer.from(`${text}\0`));
  }
}

export const stringBody = (text: string): Buffer => new Writer().string(text).bytes;
export const variantOfString = (text: string): Buffer => new Writer().signature('s').align(4).string(text).bytes;

/**
 * A peer on a message bus that owns a name and answers calls: as much of D-Bus as a test needs to stand in for a service that cannot run on
 * a bus of its own. It passes no file descriptors.
 */
export class DBusPeer implements Disposable {
  readonly #socket: Socket;
  readonly #answer: (call: DBusCall) => DBusAnswer;
  #unread = Buffer.alloc(0);
  #serial = 0;

  private constructor(socket: Socket, answer: (call: DBusCall) => DBusAnswer) {
    this.#socket = socket;
    this.#answer = answer;
  }

  static async own(path: string, name: string, answer: (call: DBusCall) => DBusAnswer): Promise<DBusPeer> {
    const socket = connect(path);
    await once(socket, 'connect');
    const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
    socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    const [ok] = (await once(socket, 'data')) as [Buffer];
    if (!ok.toString().startsWith('OK')) throw new Error(`the bus does not know us: ${ok.toString()}`);
    socket.write('BEGIN\r\n');
    const peer = new DBusPeer(socket, answer);
    socket.on('data', (chunk: Buffer) => peer.#take(chunk));
    socket.on('error', () => {});
    peer.#call('Hello', '', Buffer.alloc(0));
    peer.#call('RequestName', 'su', new Writer().string(name).uint32(0).bytes);
    return peer;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #call(member: string, signature: string, body: Buffer): void {
    const bus = 'org.freedesktop.DBus';
    this.#send(
      methodCall,
      [
        [fields.path, 'o', '/org/freedesktop/DBus'],
        [fields.interface, 's', bus],
        [fields.member, 's', member],
        [fields.destination, 's', bus],
      ],
      signature,
      body,
    );
  }

  #send(
    type: number,
    header: readonly (readonly [number, string, string | number])[],
    signature: string,
    body: Buffer,
  ): void {
    const array = new Writer();
    const all = signature === '' ? header : [...header, [fields.signature, 'g', signature] as const];
    for (const [code, kind, value] of all) {
      array
        .align(8)
        .raw(Buffer.from([code]))
        .signature(kind);
      if (typeof value === 'number') array.uint32(value);
      else if (kind === 'g') array.signature(value);
      else array.string(value);
    }
    const message = new Writer()
      .raw(Buffer.from([0x6c, type, 0, 1]))
      .uint32(body.length)
      .uint32(++this.#serial)
      .uint32(array.bytes.length)
      .raw(array.bytes)
      .align(8)
      .raw(body);
    this.#socket.write(message.bytes);
  }

  #take(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    while (this.#unread.length >= 16) {
      const headerEnd = padded(16 + this.#unread.readUInt32LE(12), 8);
      const end = headerEnd + this.#unread.readUInt32LE(4);
      if (this.#unread.length < end) return;
      const message = this.#unread.subarray(0, end);
      this.#unread = this.#unread.subarray(end);
      if (message[1] === methodCall) this.#reply(message, headerEnd);
    }
  }

  #reply(message: Buffer, headerEnd: number): void {
    const header = readHeader(message);
    const serial = message.readUInt32LE(8);
    const answer = this.#answer({
      interface: header.get(fields.interface) ?? '',
      member: header.get(fields.member) ?? '',
      path: header.get(fields.path) ?? '',
      strings: readStrings(message.subarray(headerEnd), header.get(fields.signature) ?? ''),
    });
    const back = [
      [fields.replySerial, 'u', serial],
      [fields.destination, 's', header.get(fields.sender) ?? ''],
    ] as const;
    if (typeof answer === 'string')
      this.#send(error, [...back, [fields.errorName, 's', answer]], 's', stringBody('not here'));
    else this.#send(methodReturn, back, answer.signature, answer.body);
  }
}

/** The fields whose values are words. */
function readHeader(message: Buffer): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  const end = 16 + message.readUInt32LE(12);
  for (let at = 16; at < end;) {
    at = padded(at, 8);
    const code = message[at] ?? 0;
    const signatureLength = message[at + 1] ?? 0;
    const kind = message.toString('latin1', at + 2, at + 2 + signatureLength);
    at += 3 + signatureLength;
    if (kind === 'g') {
      const length = message[at] ?? 0;
      found.set(code, message.toString('latin1', at + 1, at + 1 + length));
      at += length + 2;
    } else if (kind === 's' || kind === 'o') {
      at = padded(at, 4);
      const length = message.readUInt32LE(at);
      found.set(code, message.toString('utf8', at + 4, at + 4 + length));
      at += length + 5;
    } else at = padded(at, 4) + 4;
  }
  return found;
}

function readStrings(body: Buffer, signature: string): string[] {
  if (!/^s*$/.test(signature)) return [];
  const strings: string[] = [];
  for (let at = 0; strings.length < signature.length;) {
    at = padded(at, 4);
    const length = body.readUInt32LE(at);
    strings.push(body.toString('utf8', at + 4, at + 4 + length));
    at += length + 5;
  }
  return strings;
}
