import type { Readable } from 'node:stream';

/** One JSON value per line, as Docker streams them. A stream that breaks is an error here, unlike with `readline`. */
export async function* jsonLines(from: Readable): AsyncGenerator {
  let pending = '';
  for await (const chunk of from) {
    const lines = (pending + (chunk as Buffer).toString('utf8')).split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line);
  }
  if (pending.trim() !== '') yield JSON.parse(pending);
}
