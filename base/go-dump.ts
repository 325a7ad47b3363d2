/**
 * The kubelet's state files carry a checksum of their Go structures as `k8s.io/utils/dump.ForHash` prints them: each value
 * behind its type, elements of lists and maps without. Built by hand here, for the types of one file, they come out the same
 * and either agent can check what the other wrote.
 */
export interface GoText {
  readonly type: string;
  readonly text: string;
}

export const goString = (text: string): GoText => ({ type: 'string', text });
export const goInt = (value: number, type = 'int64'): GoText => ({ type, text: String(value) });

/** A list of Go that was never made (`null` in JSON) is another one than an empty list. */
export function goSlice(type: string, items: readonly GoText[] | null): GoText {
  return { type, text: items === null ? '<nil>' : `[${items.map(({ text }) => text).join(' ')}]` };
}

export function goBytes(bytes: Uint8Array | null): GoText {
  return { type: '[]uint8', text: bytes === null ? '<nil>' : `[${bytes.join(' ')}]` };
}

/** The entries in the order of Go: numbers by value, strings by bytes. */
export function goMap(type: string, entries: readonly (readonly [key: string, value: GoText])[] | null): GoText {
  return {
    type,
    text: entries === null ? '<nil>' : `map[${entries.map(([key, { text }]) => `${key}:${text}`).join(' ')}]`,
  };
}

export function goStruct(type: string, fields: Readonly<Record<string, GoText>>): GoText {
  const parts = Object.entries(fields).map(([name, value]) => `${name}:${goDump(value)}`);
  return { type, text: `{${parts.join(' ')}}` };
}

export const goPointer = ({ type, text }: GoText): GoText => ({ type: `*${type}`, text });

export const goDump = ({ type, text }: GoText): string => `(${type})${text}`;

const offsetBasis = 2_166_136_261;
const prime = 16_777_619;

/** FNV-1a, 32 bits, of the text's UTF-8. */
export function fnv32a(text: string): number {
  let hash = offsetBasis;
  const bytes = Buffer.from(text);
  // By index: a record of hundreds of pods is tens of thousands of bytes, and an iterator costs several times as much.
  for (let index = 0; index < bytes.length; index++) hash = Math.imul(hash ^ (bytes[index] as number), prime);
  return hash >>> 0;
}

/** The checksum the kubelet writes beside the value. */
export const goChecksum = (value: GoText): number => fnv32a(goDump(value));
