import { readdir } from 'node:fs/promises';
import { settleExit, settleFromExitFile } from '../containers/settle-exit.js';
import { endUnwatched } from '../containers/end-unwatched.js';
import { noteStart } from '../containers/note-start.js';
import { clearAway, nameKey, undoSignal } from '../containers/remove-container.js';
import type { RuntimeContext } from '../context.js';
import { identify, isConmonOf, isInCgroupOf, readPidFile, type ProcessIdentity } from '../host/process-identity.js';
import { ContainerEntry } from '../state/container-entry.js';
import type { ContainerRecord } from '../state/records.js';

/** Reads every container record and finds out what became of its container while nobody looked; returns those half made. */
export async function adoptContainers(context: RuntimeContext): Promise<ContainerEntry[]> {
  const ids = await readdir(context.layout.containerRecords);
  const records = await Promise.all(ids.map(async (id) => await readRecord(context, id)));
  const halfMade: ContainerEntry[] = [];
  for (const record of records) {
    if (record === undefined) continue;
    const entry = adoptContainer(context, record);
    if (entry.phase.kind === 'creating') halfMade.push(entry);
  }
  return halfMade;
}

async function readRecord(context: RuntimeContext, id: string): Promise<ContainerRecord | undefined> {
  const read = await context.records.readContainer(id);
  switch (read.kind) {
    case 'read':
      return read.data;
    case 'missing':
      // Cut off between making the folder and writing the record: nothing else was made.
      await context.trash.put(context.layout.container(id));
      return undefined;
    case 'set-aside':
      context.deps.log.error(
        { containerId: id, reason: read.reason, movedTo: read.movedTo },
        'container record unreadable, set aside; its leftovers are removed',
      );
      return undefined;
  }
}

function adoptContainer(context: RuntimeContext, record: ContainerRecord): ContainerEntry {
  const entry = new ContainerEntry(record);
  const sandbox = context.sandboxes.get(record.sandboxId);
  context.containers.set(entry.id, entry);
  context.names.set(nameKey(entry), entry.id);
  sandbox?.containers.add(entry);
  if (record.exit !== undefined) {
    entry.phase = { kind: 'exited', exit: record.exit };
    return entry;
  }
  if (record.bootId !== context.deps.bootId) {
    settleExit(context, entry, {
      code: 137,
      finishedAtMs: context.deps.clock.now(),
      reason: 'Unknown',
      message: 'the machine was restarted while the container ran',
    });
    return entry;
  }
  adoptProcess(context, entry);
  return entry;
}

/** True when the container was made completely, whatever it does now. */
export function adoptProcess(context: RuntimeContext, entry: ContainerEntry): boolean {
  const bundle = context.layout.bundle(entry.id);
  const init = identifyIf(`${bundle}/pidfile`, (pid) => isInCgroupOf(pid, entry.id));
  const conmon = identifyIf(`${bundle}/conmon.pid`, (pid) => isConmonOf(pid, entry.id));
  const started = noteStart(context, entry);
  if (conmon !== undefined && init !== undefined) {
    entry.phase = { kind: started ? 'running' : 'created', init, conmon };
    return true;
  }
  if (settleFromExitFile(context, entry)) return true;
  if (!started) return false;
  if (conmon !== undefined) {
    // The process has just ended and conmon is about to say so.
    const gone: ProcessIdentity = { pid: readPidFile(`${bundle}/pidfile`) ?? 0, startTime: '' };
    entry.phase = { kind: 'running', init: gone, conmon };
    return true;
  }
  if (init !== undefined) entry.phase = { kind: 'running', init, conmon: { pid: 0, startTime: '' } };
  endUnwatched(context, entry);
  return true;
}

function identifyIf(pidFile: string, isRight: (pid: number) => boolean): ProcessIdentity | undefined {
  const pid = readPidFile(pidFile);
  return pid === undefined || !isRight(pid) ? undefined : identify(pid);
}

/** What cannot be cleared is listed as ended, for a later removal. */
export async function clearHalfMadeContainer(context: RuntimeContext, entry: ContainerEntry): Promise<void> {
  using deadline = undoSignal('the removal of a half-made container');
  try {
    await clearAway(context, entry, deadline.signal);
    context.sandboxes.get(entry.record.sandboxId)?.containers.delete(entry);
    context.deps.log.info({ containerId: entry.id }, 'half-made container removed');
  } catch (err) {
    context.deps.log.error({ err, containerId: entry.id }, 'half-made container not removed, listed as ended');
    settleExit(context, entry, {
      code: 128,
      finishedAtMs: context.deps.clock.now(),
      reason: 'CreateError',
      message: 'its creation was cut off',
    });
  }
}
