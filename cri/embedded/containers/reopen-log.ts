import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { errnoOf } from '../../../base/errors.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { letGroupRead } from './log-mode.js';

const reopenDeadlineMs = 5000;
const lookEveryMs = 5;

/** Tells conmon to go on in a new file at the log's path and waits until it is there. */
export async function reopenLog(context: RuntimeContext, entry: ContainerEntry, signal: AbortSignal): Promise<void> {
  const { logPath, metadata } = entry.record;
  if (!isRunning(entry)) {
    throw criError('failed-precondition', `reopen log of container ${metadata.name}: it does not run`);
  }
  if (logPath === '') {
    throw criError(
      'failed-precondition',
      `reopen log of container ${metadata.name}: it keeps none, it was made without log_path or its sandbox without log_directory`,
    );
  }
  sendControl(context.layout.bundle(entry.id), '2 0 0', `reopen log of container ${metadata.name}`);
  const until = performance.now() + reopenDeadlineMs;
  while (!(await isThere(logPath))) {
    if (!isRunning(entry)) {
      throw criError('failed-precondition', `reopen log of container ${metadata.name}: it ended before that`);
    }
    if (performance.now() > until) {
      const what = `reopen log of container ${metadata.name}: conmon made no ${logPath}`;
      throw criError('deadline-exceeded', `${what} within ${reopenDeadlineMs} ms`);
    }
    await context.deps.clock.sleep(lookEveryMs, signal);
  }
  letGroupRead(logPath);
}

const isRunning = (entry: ContainerEntry): boolean => entry.phase.kind === 'running';

/** One line into conmon's control FIFO; never waits: without a reader conmon is gone. */
export function sendControl(folder: string, line: string, what: string): void {
  let fifo: number;
  try {
    fifo = openSync(`${folder}/ctl`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENXIO' || errno === 'ENOENT') throw criError('unavailable', `${what}: conmon does not listen`, err);
    throw err;
  }
  try {
    writeSync(fifo, `${line}\n`);
  } finally {
    closeSync(fifo);
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return false;
    throw err;
  }
}
