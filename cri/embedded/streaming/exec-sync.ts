import { linkSignal, TimedOut } from '../../../base/signals.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import { SyncOutput } from '../../streaming/sync-output.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { execProcess } from './exec-process.js';
import { runExec } from './run-exec.js';

/** A timer that is set for longer goes off at once. */
const longestTimerMs = 2 ** 31 - 1;

export async function execSync(
  context: RuntimeContext,
  entry: ContainerEntry,
  command: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<v1.ExecSyncResponse> {
  const process = await execProcess(context, entry, command, undefined);
  const { stdout, stderr } = new SyncOutput();
  const what = `${command[0] ?? ''} in container ${entry.record.metadata.name}`;
  using deadline = linkSignal(signal, timeoutMs > 0 ? { timeoutMs: Math.min(timeoutMs, longestTimerMs), what } : {});
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
