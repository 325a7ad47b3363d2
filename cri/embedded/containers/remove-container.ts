import { existsSync, rmSync } from 'node:fs';
import { linkSignal } from '../../../base/signals.js';
import { containerSubject, type RuntimeContext } from '../context.js';
import { emitContainer } from '../emit-event.js';
import { killMakers } from '../host/kill-makers.js';
import { mustRunOci } from '../host/oci-program.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { unmountAll } from './container-mounts.js';
import { killCgroup, removeCgroup } from './kill-container.js';

/** An undo has its own deadline, not the cancelled signal of what it undoes. */
const undoDeadlineMs = 60_000;

/** Removes a container that does not run any more. Every part is idempotent: a removal that failed half way is taken up again. */
export async function removeEnded(context: RuntimeContext, entry: ContainerEntry, signal: AbortSignal): Promise<void> {
  await context.locks.run(
    entry.id,
    async () => {
      if (!context.containers.has(entry.id)) return;
      await clearAway(context, entry, signal);
      context.sandboxes.get(entry.record.sandboxId)?.containers.delete(entry);
      emitContainer(context, entry, 'CONTAINER_DELETED_EVENT');
    },
    signal,
  );
}

/**
 * Takes away everything a container may have left, in whatever state it is: processes, cgroup, mounts, files, and last the record.
 * Fails, with the record still there, rather than delete through a mount.
 */
export async function clearAway(context: RuntimeContext, entry: ContainerEntry, signal: AbortSignal): Promise<void> {
  const { layout } = context;
  if (!entry.deleted) {
    await deleteFromOci(context, entry, signal);
    entry.deleted = true;
    await context.at('container-deleted', entry.id);
  }
  if (!entry.unmounted) {
    await unmountAll(context, entry.record.mountPoints, `unmount container ${entry.id}`, signal);
    entry.unmounted = true;
    await context.at('container-unmounted', entry.id);
  }
  await removeBundle(context, entry, signal);
  await entry.writing;
  await context.trash.put(layout.container(entry.id));
  context.containers.delete(entry.id);
  context.names.delete(nameKey(entry));
  await context.at('container-removed', entry.id);
  const { images } = context.deps;
  // Layers of an image that was removed meanwhile may have been kept for this container alone.
  if (entry.record.imageId !== '' && images.find(entry.record.imageId) === undefined) void images.sweep?.();
}

/** Mount points are gone, or this fails here: nothing below the bundle can be a mount when its folder is deleted. */
async function removeBundle(context: RuntimeContext, entry: ContainerEntry, signal: AbortSignal): Promise<void> {
  const bundle = context.layout.bundle(entry.id);
  await unmountAll(context, entry.record.mountPoints, `unmount container ${entry.id}`, signal);
  rmSync(bundle, { recursive: true, force: true });
  rmSync(context.layout.exitFile(entry.id), { force: true });
}

export function nameKey(entry: ContainerEntry): string {
  const { sandboxId, metadata } = entry.record;
  return `${sandboxId}/${metadata.name}/${metadata.attempt}`;
}

async function deleteFromOci(context: RuntimeContext, entry: ContainerEntry, signal: AbortSignal): Promise<void> {
  const { record, id } = entry;
  const root = context.ociRoot(record.ociRuntime);
  endMakers(context, entry);
  if (existsSync(`${root}/${id}`)) {
    await mustRunOci(
      {
        program: record.ociRuntime,
        root,
        systemdCgroup: context.systemdCgroup,
        verb: 'delete',
        args: ['--force', id],
        subject: containerSubject(entry),
        timeoutMs: context.options.ociTimeoutMs,
        discardStdout: true,
      },
      context.deps,
      signal,
    );
  }
  killCgroup(context, record.cgroup);
  await removeCgroup(context, record.cgroup, signal);
}

/** Those of a container that was cut off while it was made may still be at work; of one that did its work conmon is gone by itself. */
function endMakers(context: RuntimeContext, entry: ContainerEntry): void {
  if (entry.phase.kind === 'exited' && existsSync(context.layout.exitFile(entry.id))) return;
  killMakers(entry.id, Object.values(context.options.ociRuntimes));
}

export function undoSignal(what: string): ReturnType<typeof linkSignal> {
  return linkSignal(new AbortController().signal, { timeoutMs: undoDeadlineMs, what });
}
