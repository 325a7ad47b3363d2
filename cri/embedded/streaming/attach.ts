import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { linkSignal } from '../../../base/signals.js';
import { criError } from '../../contract/cri-error.js';
import type { ContainerIo } from '../../contract/streaming-service.js';
import { refresh } from '../containers/container-status.js';
import type { RuntimeContext } from '../context.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { AttachSocket } from './attach-socket.js';
import { FirstSize, resize, sendInput } from './exec-terminal.js';
import { LogFollower } from './log-follower.js';
import type { LogPiece } from './log-lines.js';

/** Input through conmon's attach socket and output from now on, until the container's process ends. */
export async function attachContainer(
  context: RuntimeContext,
  entry: ContainerEntry,
  io: ContainerIo,
  signal: AbortSignal,
): Promise<void> {
  const { record } = entry;
  refresh(context, entry, true);
  if (entry.phase.kind !== 'running' && entry.phase.kind !== 'created') {
    throw criError('failed-precondition', `attach to container ${record.metadata.name}: it has ended`);
  }
  const folder = context.layout.bundle(entry.id);
  // First the output, then the input: what the input brings about must not be missed.
  await using output = await openOutput(entry, folder, signal);
  using linked = linkSignal(signal);
  const wanted = [io.stdout, io.stderr].filter((sink) => sink !== undefined);
  const onClosed = (): void => {
    if (wanted.every((sink) => sink.destroyed)) linked.abort();
  };
  for (const sink of wanted) sink.once('close', onClosed);
  const input = io.stdin !== undefined && record.stdin ? sendInput(folder, io.stdin) : undefined;
  const sizes = io.resize === undefined ? undefined : new FirstSize(io.resize[Symbol.asyncIterator]());
  const resizing = record.tty ? sizes?.forEach((size) => resize(folder, size)) : undefined;
  try {
    for await (const piece of output.pieces(linked.signal)) {
      const sink = piece.stream === 'stderr' && !record.tty ? io.stderr : io.stdout;
      if (sink !== undefined) await deliver(sink, piece.data, linked.signal);
    }
    signal.throwIfAborted();
  } finally {
    for (const sink of wanted) sink.removeListener('close', onClosed);
    input?.();
    sizes?.stop();
    void resizing;
  }
}

interface Output extends AsyncDisposable {
  pieces(signal: AbortSignal): AsyncIterable<LogPiece>;
}

/** Followed from the log, which costs nothing more; a container without one has its output only at conmon's socket. */
async function openOutput(entry: ContainerEntry, folder: string, signal: AbortSignal): Promise<Output> {
  const { logPath, metadata } = entry.record;
  if (logPath === '') return await AttachSocket.open(folder, `attach to container ${metadata.name}`, signal);
  const log = await LogFollower.open(logPath);
  const ended = {
    now: () => entry.phase.kind === 'exited',
    onChange: (wake: () => void) => entry.onExit(wake),
  };
  return {
    pieces: (until) => log.pieces(ended, until),
    [Symbol.asyncDispose]: async () => await log[Symbol.asyncDispose](),
  };
}

async function deliver(sink: Writable, data: Buffer, signal: AbortSignal): Promise<void> {
  if (sink.destroyed || sink.write(data)) return;
  try {
    await once(sink, 'drain', { signal });
  } catch (err) {
    // The client went away in the middle: the loop sees that it is closed.
    if (!signal.aborted && !sink.destroyed) throw err;
  }
}
