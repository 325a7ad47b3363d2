import { Writable } from 'node:stream';
import { linkSignal, TimedOut } from '../../../base/signals.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { execProcess } from './exec-process.js';
import { runExec } from './run-exec.js';

const outputLimit = 16 * 1024 * 1024;

export async function execSync(
  context: RuntimeContext,
  entry: ContainerEntry,
  command: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<v1.ExecSyncResponse> {
  const process = await execProcess(context, entry, command, undefined);
  const stdout = new Collector(outputLimit);
  const stderr = new Collector(outputLimit);
  const what = `${command[0] ?? ''} in container ${entry.record.metadata.name}`;
  using deadline = linkSignal(signal, timeoutMs > 0 ? { timeoutMs, what } : {});
  try {
    const exitCode = await runExec(context, entry, process, { stdout, stderr }, deadline.signal);
    return { stdout: stdout.bytes, stderr: stderr.bytes, exitCode };
  } catch (err) {
    signal.throwIfAborted();
    if (err instanceof TimedOut) {
      throw criError('deadline-exceeded', `exec ${what}: command timed out after ${timeoutMs / 1000} s`, err);
    }
    throw err;
  }
}

/** Keeps the first bytes; the rest is read and dropped, so that the command is not held up. */
class Collector extends Writable {
  readonly #chunks: Buffer[] = [];
  #room: number;

  constructor(limit: number) {
    super();
    this.#room = limit;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (this.#room > 0) {
      const kept = chunk.subarray(0, this.#room);
      this.#chunks.push(kept);
      this.#room -= kept.length;
    }
    callback();
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }
}
