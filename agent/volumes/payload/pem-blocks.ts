const block = /-----BEGIN ([^-\n]+)-----\r?\n([\s\S]*?)-----END \1-----/g;
const base64Line = /^[A-Za-z0-9+/=]+$/;

/** Contents of the blocks of a PEM text in base64, without what stands between them and in their heads. */
export function pemContents(text: string): string[] {
  return [...text.matchAll(block)].map(([, , body = '']) =>
    body
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => base64Line.test(line))
      .join(''),
  );
}

/** Certificates as blocks that hold nothing else. */
export function certificatesPem(contents: Iterable<string>): string {
  return [...contents]
    .map((content) => (content.match(/.{1,64}/g) ?? []).join('\n'))
    .map((lines) => `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`)
    .join('');
}
