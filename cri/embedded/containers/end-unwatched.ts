import type { RuntimeContext } from '../context.js';
import { signalProcess } from '../host/process-identity.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { killCgroup } from './kill-container.js';
import { settleExit } from './settle-exit.js';

const sigKill = 9;

/**
 * conmon died without an exit file. Its container can no longer be watched and writes into closed pipes, so it is ended, and reported
 * with the code of SIGKILL and a reason that does not claim to know more.
 */
export function endUnwatched(context: RuntimeContext, entry: ContainerEntry): void {
  const { init } = entry;
  if (init !== undefined) signalProcess(init, sigKill);
  killCgroup(context, entry.record.cgroup);
  context.deps.log.warn(
    { containerId: entry.id, container: entry.record.metadata.name },
    'conmon ended without an exit file, container ended',
  );
  settleExit(context, entry, {
    code: 137,
    finishedAtMs: context.deps.clock.now(),
    reason: 'Unknown',
    message: 'its monitor (conmon) ended without reporting an exit code; the container was killed',
  });
}
