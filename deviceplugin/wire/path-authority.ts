const prefaceBytes = 24;
const frameHeaderBytes = 9;
const headersFrame = 1;
const padded = 0x08;
const withPriority = 0x20;
/** What nobody may send more of in a frame unless he was told otherwise; we do not. */
const longestFrame = 16_384;
/** Of `:authority` in the static table of HPACK. */
const authorityIndex = 1;
const slash = { byte: 0x2f, code: 0x18 };
const dot = { byte: 0x2e, code: 0x17 };

/**
 * gRPC in Go before 1.57 calls a socket that it dials by its path alone by that path, as in `:authority: /var/lib/kubelet/...`. No authority
 * may have slashes, and HTTP/2 in Node ends such a call before anybody sees it; servers in Go look past it. Many a device plugin is built with
 * one of those, and with what it says here a dot takes the place of each slash: of the same length in HPACK, coded or not, so that
 * nothing else of the stream is another. The rest passes as it is.
 */
export class PathAuthorities {
  /** Bytes to come that are of no concern. */
  #pass = prefaceBytes;
  /** The beginning of a frame whose rest has not come. */
  #held: Buffer = Buffer.alloc(0);

  /** The next bytes of the client, as far as they can be told. The chunk itself is changed. */
  next(chunk: Buffer): Buffer {
    const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    let at = 0;
    while (at < data.length) {
      const left = data.length - at;
      if (this.#pass > 0) {
        const passed = Math.min(this.#pass, left);
        this.#pass -= passed;
        at += passed;
        continue;
      }
      if (left < frameHeaderBytes) break;
      const length = data.readUIntBE(at, 3);
      const whole = frameHeaderBytes + length;
      if (data[at + 3] !== headersFrame || length > longestFrame) this.#pass = whole;
      else if (left < whole) break;
      else {
        cleanHeaders(data.subarray(at, at + whole));
        at += whole;
      }
    }
    this.#held = data.subarray(at);
    return data.subarray(0, at);
  }
}

function cleanHeaders(frame: Buffer): void {
  const flags = frame[4] ?? 0;
  let at = frameHeaderBytes;
  let end = frame.length;
  if ((flags & padded) !== 0) end -= frame[at++] ?? 0;
  if ((flags & withPriority) !== 0) at += 5;
  while (at < end) {
    const first = frame[at] ?? 0;
    // A field of the tables, or the size of the one of them that changes: no text.
    if ((first & 0x80) !== 0) at = integerAt(frame, at, 7).next;
    else if ((first & 0xe0) === 0x20) at = integerAt(frame, at, 5).next;
    else {
      const name = integerAt(frame, at, (first & 0x40) === 0 ? 4 : 6);
      const value = textAt(frame, name.value === 0 ? textAt(frame, name.next).next : name.next);
      if (name.value === authorityIndex) {
        const text = frame.subarray(value.start, Math.min(value.next, end));
        if (value.coded) cleanCoded(text);
        else for (const [n, byte] of text.entries()) if (byte === slash.byte) text[n] = dot.byte;
      }
      at = value.next;
    }
  }
}

/** An integer whose first byte leaves so many bits to it (RFC 7541, 5.1). */
function integerAt(frame: Buffer, at: number, bits: number): { value: number; next: number } {
  const most = 2 ** bits - 1;
  let value = (frame[at] ?? 0) & most;
  let next = at + 1;
  if (value < most) return { value, next };
  for (let factor = 1; next < frame.length; factor *= 128) {
    const byte = frame[next++] ?? 0;
    value += (byte & 0x7f) * factor;
    if ((byte & 0x80) === 0) break;
  }
  return { value, next };
}

function textAt(frame: Buffer, at: number): { start: number; next: number; coded: boolean } {
  const { value, next } = integerAt(frame, at, 7);
  return { start: next, next: next + value, coded: ((frame[at] ?? 0) & 0x80) !== 0 };
}

/** The last code of each length, of those that paths are made of (RFC 7541, appendix B). */
const lastCodes = [
  [5, 0x09],
  [6, 0x2d],
  [7, 0x7b],
  [8, 0xfd],
] as const;

function cleanCoded(text: Buffer): void {
  const codeAt = (bit: number, length: number): number => {
    const at = bit >> 3;
    const two = ((text[at] ?? 0xff) << 8) | (text[at + 1] ?? 0xff);
    return (two >> (16 - (bit & 7) - length)) & (2 ** length - 1);
  };
  for (let bit = 0; bit < text.length * 8;) {
    const length = lastCodes.find(([bits, last]) => codeAt(bit, bits) <= last)?.[0];
    // The end, or a sign that no path is expected to have.
    if (length === undefined) return;
    if (length === 6 && codeAt(bit, 6) === slash.code) setCode(text, bit, dot.code);
    bit += length;
  }
}

function setCode(text: Buffer, bit: number, code: number): void {
  for (let n = 0; n < 6; n++) {
    const at = (bit + n) >> 3;
    const mask = 0x80 >> ((bit + n) & 7);
    const isSet = ((code >> (5 - n)) & 1) === 1;
    text[at] = isSet ? (text[at] ?? 0) | mask : (text[at] ?? 0) & ~mask;
  }
}
