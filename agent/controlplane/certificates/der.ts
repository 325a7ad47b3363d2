/** Writes the few DER forms that certificates and requests for them are made of (X.690). */

function tagged(tag: number, content: Uint8Array): Buffer {
  const size = content.length;
  if (size < 0x80) return Buffer.concat([Buffer.from([tag, size]), content]);
  const digits: number[] = [];
  for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return Buffer.concat([Buffer.from([tag, 0x80 | digits.length, ...digits]), content]);
}

const joined = (parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts);

export const sequence = (...parts: readonly Uint8Array[]): Buffer => tagged(0x30, joined(parts));
export const set = (...parts: readonly Uint8Array[]): Buffer => tagged(0x31, joined(parts));
export const octets = (content: Uint8Array): Buffer => tagged(0x04, content);
export const utf8 = (text: string): Buffer => tagged(0x0c, Buffer.from(text, 'utf8'));
export const bool = (value: boolean): Buffer => tagged(0x01, Buffer.from([value ? 0xff : 0]));
/** A constructed value that stands in place `place` of its parent. */
export const explicit = (place: number, ...parts: readonly Uint8Array[]): Buffer => tagged(0xa0 | place, joined(parts));
/** A primitive value that stands in place `place` of its parent. */
export const implicit = (place: number, content: Uint8Array): Buffer => tagged(0x80 | place, content);

/** Bits that fill whole bytes unless `unused` at the end are none. */
export const bits = (content: Uint8Array, unused = 0): Buffer => tagged(0x03, joined([Buffer.from([unused]), content]));

/** A number that is not negative, most significant byte first. */
export function integer(bytes: Uint8Array): Buffer {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at++;
  const plain = bytes.subarray(at);
  return tagged(0x02, ((plain[0] ?? 0) & 0x80) === 0 ? plain : joined([Buffer.from([0]), plain]));
}

export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part % 128];
    for (let high = Math.floor(part / 128); high > 0; high = Math.floor(high / 128))
      groups.unshift((high % 128) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}

/** UTCTime until 2049 and GeneralizedTime after, as RFC 5280 wants it. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
  return Number(digits.slice(0, 4)) < 2050
    ? tagged(0x17, Buffer.from(`${digits.slice(2)}Z`))
    : tagged(0x18, Buffer.from(`${digits}Z`));
}

export function pem(label: string, content: Uint8Array): string {
  const lines = Buffer.from(content)
    .toString('base64')
    .match(/.{1,64}/g);
  return `-----BEGIN ${label}-----\n${(lines ?? []).join('\n')}\n-----END ${label}-----\n`;
}
