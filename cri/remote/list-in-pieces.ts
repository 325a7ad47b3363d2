import { CriError, isCriCode } from '../contract/cri-error.js';

/**
 * A list whose answer is too large for one message is asked for again through the runtime's Stream call. Where the runtime has
 * none (before CRI 0.36), the failure says what to do about it.
 */
export async function listInPieces<T>(
  what: string,
  atOnce: () => Promise<readonly T[]>,
  inPieces: () => AsyncIterable<readonly T[]>,
): Promise<readonly T[]> {
  try {
    return await atOnce();
  } catch (err) {
    if (!isCriCode(err, 'resource-exhausted')) throw err;
    return await collect(what, inPieces, err);
  }
}

async function collect<T>(what: string, inPieces: () => AsyncIterable<readonly T[]>, tooLarge: unknown): Promise<T[]> {
  const all: T[] = [];
  try {
    for await (const piece of inPieces()) all.push(...piece);
  } catch (err) {
    if (!isCriCode(err, 'unimplemented')) throw err;
    throw new CriError(
      `list ${what}: the answer is larger than one message of 16 MiB and the runtime cannot send it in pieces; remove finished ${what} or labels and annotations`,
      { code: 'resource-exhausted' },
      { cause: tooLarge },
    );
  }
  return all;
}
