import { onAbort } from '../../../base/signals.js';
import { describeEnd, programSucceeded, type ProgramResult } from '../../../base/run-program.js';
import { criError } from '../../contract/cri-error.js';
import { containerSubject, type RuntimeContext } from '../context.js';
import { emitStarted } from '../emit-event.js';
import { runOci } from '../host/oci-program.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { endUnwatched } from './end-unwatched.js';
import { killContainer } from './kill-container.js';
import { noteStart } from './note-start.js';
import { lookAgain, settleExit } from './settle-exit.js';
import { isUnfit, startError } from './unfit-program.js';

/** How long a start that nobody waits for any more may take to end by itself. */
const mostAfterCancelMs = 5000;

export async function startContainer(
  context: RuntimeContext,
  entry: ContainerEntry,
  signal: AbortSignal,
): Promise<void> {
  await context.locks.run(entry.id, async () => await start(context, entry, signal), signal);
}

async function start(context: RuntimeContext, entry: ContainerEntry, signal: AbortSignal): Promise<void> {
  const { record, phase } = entry;
  if (isUnfit(entry)) throw criError('internal', `start container ${record.metadata.name}: ${record.exit?.message}`);
  if (phase.kind !== 'created') {
    throw criError('failed-precondition', `start container ${record.metadata.name}: it is ${phase.kind}, not created`);
  }
  const result = await callStart(context, entry, signal);
  if (!programSucceeded(result)) {
    failStart(context, entry, describeEnd(result));
    throw criError(
      result.end.kind === 'timed-out' ? 'deadline-exceeded' : 'internal',
      `start container ${record.metadata.name}: ${describeEnd(result)}`,
    );
  }
  entry.record = { ...entry.record, startedAtMs: entry.record.startedAtMs ?? context.deps.clock.now() };
  // The exit of a short program may have been seen while `start` was still on its way back.
  if (entry.phase.kind === 'created') entry.phase = { ...phase, kind: 'running' };
  await context.at('container-started', entry.id);
  // Not waited for: whether it was started is known from the OCI runtime; only the time would be lost by a crash.
  context.records.writeContainer(entry).catch((err: unknown) => {
    context.deps.log.warn({ err, containerId: entry.id }, 'start time of container not recorded');
  });
  emitStarted(context, entry);
}

/**
 * A start is not cut off at once: killed when it has let the program go and has not removed the FIFO yet, it would leave a container
 * that looks as if it waited, and the next start would wait for it in vain.
 */
async function callStart(context: RuntimeContext, entry: ContainerEntry, signal: AbortSignal): Promise<ProgramResult> {
  signal.throwIfAborted();
  const { record, phase } = entry;
  const cutOff = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const unlink = onAbort(signal, () => {
    timer = setTimeout(() => cutOff.abort(signal.reason), mostAfterCancelMs);
  });
  try {
    return await runOci(
      {
        program: record.ociRuntime,
        root: context.ociRoot(record.ociRuntime),
        systemdCgroup: context.systemdCgroup,
        verb: 'start',
        args: [entry.id],
        subject: containerSubject(entry),
        timeoutMs: context.options.ociTimeoutMs,
        discardStdout: true,
      },
      context.deps,
      cutOff.signal,
    );
  } catch (err) {
    // A cancelled call may have done its work all the same.
    if (phase.kind === 'created' && entry.phase.kind === 'created' && noteStart(context, entry)) {
      entry.phase = { ...phase, kind: 'running' };
      emitStarted(context, entry);
    }
    throw err;
  } finally {
    unlink();
    clearTimeout(timer);
  }
}

/** A container that could not be started cannot be started again: it has ended, as in other runtimes with code 128. */
function failStart(context: RuntimeContext, entry: ContainerEntry, reason: string): void {
  const liveness = lookAgain(context, entry, true);
  if (liveness === 'ended') return;
  if (liveness === 'unwatched') endUnwatched(context, entry);
  else killContainer(context, entry);
  settleExit(context, entry, { ...startError(reason), finishedAtMs: context.deps.clock.now() });
}
