import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import type { CallRecorder, CallSubject } from '../../../base/call-recorder.js';
import { errnoOf } from '../../../base/errors.js';
import { criError } from '../../contract/cri-error.js';
import { programEnv, programName } from './oci-program.js';

export interface ConmonCall {
  readonly argv: readonly [string, ...string[]];
  /** Takes what conmon itself prints; read only when it fails. */
  readonly logPath: string;
  readonly verb: 'create' | 'exec';
  readonly ociRuntime: string;
  readonly subject: CallSubject;
  readonly timeoutMs: number;
}

/** What conmon says on its sync pipe: the process id, later the exit code of an exec; negative with a message on failure. */
interface SyncLine {
  readonly data: number;
  readonly message?: string | undefined;
}

export interface StartedConmon {
  readonly pid: number;
  /** The exit code of an exec; never settles for a container, whose code is in the exit file. */
  readonly exitCode: Promise<number>;
}

/**
 * Starts conmon, which detaches, and waits for the process id that it reports on file descriptor 3. conmon keeps that pipe open as
 * long as the container lives, so the end of the pipe is no sign of success; for a container our end is closed at once.
 */
export async function startConmon(
  call: ConmonCall,
  recorder: CallRecorder,
  signal: AbortSignal,
): Promise<StartedConmon> {
  signal.throwIfAborted();
  const done = recorder.begin({
    interface: 'oci',
    plugin: programName(call.ociRuntime),
    verb: call.verb,
    subject: call.subject,
    request: { argv: call.argv },
  });
  try {
    const started = await launch(call, signal);
    done({ response: { pid: started.pid } });
    return started;
  } catch (err) {
    done({ error: { code: 'failed', message: err instanceof Error ? err.message : String(err) } });
    throw err;
  }
}

function launch(call: ConmonCall, signal: AbortSignal): Promise<StartedConmon> {
  const log = openSync(call.logPath, 'a', 0o600);
  let child: ChildProcess;
  try {
    const [program, ...args] = call.argv;
    child = spawn(program, args, {
      // Without a locale it takes no argument that is not ASCII: a folder for logs, a name.
      env: { ...programEnv, LC_ALL: 'C.UTF-8', _OCI_SYNCPIPE: '3' },
      // conmon leaves a file named `oom` in its working folder when the container runs out of memory.
      cwd: dirname(call.logPath),
      stdio: ['ignore', 'ignore', log, 'pipe'],
      detached: true,
    });
  } finally {
    closeSync(log);
  }
  const pipe = child.stdio[3] as Readable;
  return new Promise((resolve, reject) => {
    let exitWaiter: { resolve: (code: number) => void; reject: (err: Error) => void } | undefined;
    let settled = false;
    const settle = (act: () => void): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    const fail = (err: Error): void => {
      settle(() => {
        pipe.destroy();
        reject(err);
      });
    };
    const failWith = (reason: string): void =>
      fail(criError('internal', `${call.verb} container: ${programName(call.ociRuntime)}: ${reason}`));
    const onAbort = (): void => {
      kill(child);
      fail(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      kill(child);
      fail(criError('deadline-exceeded', `${call.verb} container: no answer from conmon within ${call.timeoutMs} ms`));
    }, call.timeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });

    child.on('error', (err) => failWith(`conmon could not be started (${errnoOf(err) ?? 'unknown'})`));
    pipe.on('error', () => {});
    eachLine(pipe, (line) => {
      if (exitWaiter !== undefined) return exitWaiter.resolve(line.data);
      if (line.data < 0) return failWith(line.message?.trim() || `error ${line.data}`);
      const exitCode =
        call.verb === 'create'
          ? new Promise<number>(() => {})
          : new Promise<number>((resolve, reject) => {
              exitWaiter = { resolve, reject };
            });
      // A waiter that has lost interest must not end the process.
      exitCode.catch(() => {});
      if (call.verb === 'create') pipe.destroy();
      settle(() => resolve({ pid: line.data, exitCode }));
    });
    pipe.on('end', () => {
      if (!settled) failWith(lastWords(call.logPath) || 'conmon ended without a word');
      exitWaiter?.reject(criError('unknown', 'exec in container: conmon ended without an exit code'));
    });
  });
}

/** conmon has left our process group when it reports; until then the group is all there is to kill. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (err) {
    if (errnoOf(err) !== 'ESRCH') throw err;
  }
}

function eachLine(pipe: Readable, onLine: (line: SyncLine) => void): void {
  let rest = '';
  pipe.on('data', (chunk: Buffer) => {
    rest += chunk.toString('utf8');
    let end = rest.indexOf('\n');
    while (end >= 0) {
      const text = rest.slice(0, end);
      rest = rest.slice(end + 1);
      if (text !== '') onLine(parseSyncLine(text));
      end = rest.indexOf('\n');
    }
  });
}

function parseSyncLine(text: string): SyncLine {
  try {
    const parsed = JSON.parse(text) as { data?: unknown; message?: unknown };
    if (typeof parsed.data === 'number') {
      return { data: parsed.data, message: typeof parsed.message === 'string' ? parsed.message : undefined };
    }
  } catch {
    // conmon 2.1 puts the runtime's words into the line without quoting every control character.
  }
  return { data: -1, message: text };
}

function lastWords(path: string): string {
  const text = readFileSync(path, 'utf8').trim();
  return text.length > 2000 ? `...${text.slice(-2000)}` : text;
}
