import { rmSync } from 'node:fs';
import { orAbort } from '../../../base/signals.js';
import { criError } from '../../contract/cri-error.js';
import { removeEnded } from '../containers/remove-container.js';
import type { ContainerStops } from '../containers/stop-container.js';
import { unmountAll } from '../containers/container-mounts.js';
import type { RuntimeContext } from '../context.js';
import { emitSandbox } from '../emit-event.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';
import { pinPaths } from './pin-namespaces.js';
import { stopSandboxInit } from './sandbox-init.js';
import { sandboxNameKey } from './sandbox-request.js';

/** Ends all containers without grace and gives network, namespaces and mounts back. Idempotent; taken up again after a failure. */
export async function stopSandbox(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  stops: ContainerStops,
  signal: AbortSignal,
): Promise<void> {
  await context.locks.run(
    sandbox.id,
    async () => {
      const wasReady = sandbox.phase === 'ready';
      sandbox.phase = 'not-ready';
      if (sandbox.released) return;
      // What is being made in it must be undone before its mounts and namespaces go.
      sandbox.ending.abort(criError('failed-precondition', `use sandbox ${sandbox.id}: it is being stopped`));
      await orAbort(Promise.all(sandbox.creations), signal);
      if (sandbox.record.stopped !== true) {
        sandbox.record = { ...sandbox.record, stopped: true };
        await context.records.writeSandbox(sandbox.record);
        await context.at('sandbox-stopping', sandbox.id);
      }
      await Promise.all([...sandbox.containers].map(async (entry) => await stops.stop(context, entry, 0, signal)));
      await releaseSandbox(context, sandbox, signal);
      if (wasReady) emitSandbox(context, sandbox, 'CONTAINER_STOPPED_EVENT');
    },
    signal,
  );
}

/** Removes the sandbox with its containers, which no longer run. */
export async function removeSandbox(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  stops: ContainerStops,
  signal: AbortSignal,
): Promise<void> {
  await stopSandbox(context, sandbox, stops, signal);
  await Promise.all([...sandbox.containers].map(async (entry) => await removeEnded(context, entry, signal)));
  await context.locks.run(
    sandbox.id,
    async () => {
      if (!context.sandboxes.has(sandbox.id)) return;
      await forgetSandbox(context, sandbox);
      emitSandbox(context, sandbox, 'CONTAINER_DELETED_EVENT');
    },
    signal,
  );
}

/** Network, init process, pins and mounts, in whatever state they are; nothing runs in the sandbox any more. */
export async function releaseSandbox(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  signal: AbortSignal,
): Promise<void> {
  if (sandbox.released) return;
  const { layout, deps } = context;
  await stopSandboxInit(context, sandbox, signal);
  if (sandbox.record.network === 'POD') await deps.network.detach(sandbox.id, signal);
  await context.at('sandbox-detached', sandbox.id);
  // The roots of ended containers go in the same call: nothing starts in this sandbox again.
  const ended = [...sandbox.containers].filter((entry) => entry.phase.kind === 'exited' && !entry.unmounted);
  const roots = ended.flatMap((entry) => entry.record.mountPoints);
  await unmountAll(
    context,
    [...pinPaths(context, sandbox.id), layout.shm(sandbox.id), ...roots],
    `unmount sandbox ${sandbox.id}`,
    signal,
  );
  for (const entry of ended) entry.unmounted = true;
  sandbox.released = true;
  await context.at('sandbox-unpinned', sandbox.id);
}

/** Files and the record, last; after this the sandbox is unknown. */
export async function forgetSandbox(context: RuntimeContext, sandbox: SandboxEntry): Promise<void> {
  const { layout } = context;
  rmSync(`${layout.namespaces}/${sandbox.id}`, { recursive: true, force: true });
  rmSync(layout.sandbox(sandbox.id), { recursive: true, force: true });
  await context.records.removeSandbox(sandbox.id);
  context.sandboxes.delete(sandbox.id);
  context.names.delete(sandboxNameKey(sandbox.record));
  await context.at('sandbox-removed', sandbox.id);
}
