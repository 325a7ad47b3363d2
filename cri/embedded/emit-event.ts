import type * as v1 from '../../proto/generated/cri-v1.js';
import type { RuntimeContext } from './context.js';
import type { ContainerEntry } from './state/container-entry.js';
import type { SandboxEntry } from './state/sandbox-entry.js';

export function emitContainer(context: RuntimeContext, entry: ContainerEntry, type: v1.ContainerEventType): void {
  const atMs = context.deps.clock.now();
  context.events.emit({ id: entry.id, sandbox: context.sandboxes.get(entry.record.sandboxId), type, atMs });
}

/** Once, and before its end is told: a short program may have ended before the call that started it came back. */
export function emitStarted(context: RuntimeContext, entry: ContainerEntry): void {
  if (entry.startTold) return;
  entry.startTold = true;
  emitContainer(context, entry, 'CONTAINER_STARTED_EVENT');
}

export function emitSandbox(context: RuntimeContext, sandbox: SandboxEntry, type: v1.ContainerEventType): void {
  context.events.emit({ id: sandbox.id, sandbox, type, atMs: context.deps.clock.now() });
}
