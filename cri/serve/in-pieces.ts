/** Few enough messages, each far below the size limit, however much its items carry in annotations. */
const mostItems = 100;
const mostBytes = 4 * 1024 * 1024;

/** A list in messages of at least one item each; none for an empty one. */
export function* inPieces<T>(items: readonly T[]): Generator<readonly T[]> {
  let piece: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item));
    if (piece.length === mostItems || (piece.length > 0 && bytes + size > mostBytes)) {
      yield piece;
      piece = [];
      bytes = 0;
    }
    piece.push(item);
    bytes += size;
  }
  if (piece.length > 0) yield piece;
}
