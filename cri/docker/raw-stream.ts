import type { Writable } from 'node:stream';

const headerBytes = 8;
const stderrStream = 2;

type Chunks = AsyncIterable<Buffer> | Iterable<Buffer>;

export interface Outputs {
  readonly stdout?: Writable | undefined;
  readonly stderr?: Writable | undefined;
}

/**
 * Takes apart what Docker sends for a container without a terminal: each piece has a header with its stream (1 stdout, 2 stderr)
 * and its length. A writer that is full holds the reading up. Resolves when the stream ended.
 */
export async function separateStreams(from: Chunks, outputs: Outputs): Promise<void> {
  let pending: Buffer = Buffer.alloc(0);
  let left = 0;
  let target: Writable | undefined;
  for await (const chunk of from) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length > 0) {
      if (left === 0) {
        if (pending.length < headerBytes) break;
        target = pending[0] === stderrStream ? outputs.stderr : outputs.stdout;
        left = pending.readUInt32BE(4);
        pending = pending.subarray(headerBytes);
        continue;
      }
      const piece = pending.subarray(0, left);
      pending = pending.subarray(piece.length);
      left -= piece.length;
      await writeTo(target, piece);
    }
  }
}

/** With a terminal there is one stream as it is. */
export async function copyTerminal(from: Chunks, stdout: Writable | undefined): Promise<void> {
  for await (const chunk of from) await writeTo(stdout, chunk);
}

async function writeTo(target: Writable | undefined, piece: Buffer): Promise<void> {
  if (target === undefined || target.destroyed || target.writableEnded) return;
  if (target.write(piece)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      target.removeListener('drain', done);
      target.removeListener('close', done);
      resolve();
    };
    target.once('drain', done);
    target.once('close', done);
  });
}
