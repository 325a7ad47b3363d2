import { readdir } from 'node:fs/promises';
import { removeUnfinishedWrites } from '../../../base/atomic-file.js';
import { isMounted } from '../containers/container-mounts.js';
import { undoSignal } from '../containers/remove-container.js';
import type { RuntimeContext } from '../context.js';
import { pinsComplete, readPins } from '../sandboxes/pin-namespaces.js';
import { sandboxInitEntry } from '../sandboxes/sandbox-init.js';
import { sandboxNameKey } from '../sandboxes/sandbox-request.js';
import { forgetSandbox, releaseSandbox } from '../sandboxes/stop-sandbox.js';
import type { SandboxRecord } from '../state/records.js';
import { SandboxEntry } from '../state/sandbox-entry.js';
import { adoptProcess } from './adopt-containers.js';

/** Reads every sandbox record; decides which sandboxes still stand. */
export async function adoptSandboxes(context: RuntimeContext): Promise<void> {
  await removeUnfinishedWrites(context.layout.sandboxRecords);
  const files = (await readdir(context.layout.sandboxRecords)).filter((name) => name.endsWith('.json'));
  const records = await Promise.all(files.map(async (file) => await readRecord(context, file.slice(0, -5))));
  for (const record of records) if (record !== undefined) adoptSandbox(context, record);
}

async function readRecord(context: RuntimeContext, id: string): Promise<SandboxRecord | undefined> {
  const read = await context.records.readSandbox(id);
  if (read.kind === 'read') return read.data;
  if (read.kind === 'set-aside') {
    context.deps.log.error(
      { sandboxId: id, reason: read.reason, movedTo: read.movedTo },
      'sandbox record unreadable, set aside; its leftovers are removed',
    );
  }
  return undefined;
}

function adoptSandbox(context: RuntimeContext, record: SandboxRecord): void {
  const sandbox = new SandboxEntry(record);
  context.sandboxes.set(record.id, sandbox);
  context.names.set(sandboxNameKey(record), record.id);
  sandbox.phase = 'not-ready';
  if (record.bootId !== context.deps.bootId) return;
  sandbox.pins = readPins(context, record);
  sandbox.shmMounted = isMounted(context.layout.shm(record.id));
  if (record.pid === 'POD') {
    const init = sandboxInitEntry(context, sandbox);
    if (adoptProcess(context, init) && init.phase.kind === 'running') {
      sandbox.initProcess = init;
      context.inits.set(init.id, init);
    }
  }
  const whole = pinsComplete(record, sandbox.pins) && (record.pid !== 'POD' || sandbox.initProcess !== undefined);
  if (record.ready !== undefined && record.stopped !== true && whole) sandbox.phase = 'ready';
}

/** Sandboxes that were never ready are nobody's. */
export function halfMadeSandboxes(context: RuntimeContext): SandboxEntry[] {
  return [...context.sandboxes.values()].filter(
    (sandbox) => sandbox.record.ready === undefined && sandbox.containers.size === 0,
  );
}

/** One that cannot go stays listed as not ready. */
export async function clearHalfMadeSandboxes(
  context: RuntimeContext,
  halfMade: readonly SandboxEntry[],
): Promise<void> {
  for (const sandbox of halfMade) {
    using deadline = undoSignal('the removal of a half-made sandbox');
    try {
      await releaseSandbox(context, sandbox, deadline.signal);
      await forgetSandbox(context, sandbox);
      context.deps.log.info({ sandboxId: sandbox.id }, 'half-made sandbox removed');
    } catch (err) {
      context.deps.log.error({ err, sandboxId: sandbox.id }, 'half-made sandbox not removed, listed as not ready');
    }
  }
}
