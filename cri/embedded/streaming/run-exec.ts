import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { errnoOf } from '../../../base/errors.js';
import { criError } from '../../contract/cri-error.js';
import { containerSubject, type RuntimeContext } from '../context.js';
import { ociArgv, programEnv, programName } from '../host/oci-program.js';
import { identify, readPidFile, signalProcess } from '../host/process-identity.js';
import type { OciProcess } from '../oci-spec/oci-types.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { CommandOutput, outputIdleMs } from './command-output.js';
import { runtimeWords } from './runtime-words.js';

export interface ExecStreams {
  readonly stdin?: Readable | undefined;
  readonly stdout?: Writable | undefined;
  readonly stderr?: Writable | undefined;
}

const sigKill = 9;
/** The process id is written a moment after the start; a cancel that comes before waits for it that long. */
const pidFileMs = 5000;

/**
 * Runs a command in a container on plain pipes until it ended and its output was handed over; returns its exit code. An abort kills
 * the command (not only the OCI runtime in front of it) and rejects with the signal's reason.
 */
export async function runExec(
  context: RuntimeContext,
  entry: ContainerEntry,
  process: OciProcess,
  io: ExecStreams,
  signal: AbortSignal,
): Promise<number> {
  signal.throwIfAborted();
  const folder = execFolder(context);
  const { record } = entry;
  const argv = ociArgv({
    program: record.ociRuntime,
    root: context.ociRoot(record.ociRuntime),
    systemdCgroup: context.systemdCgroup,
    verb: 'exec',
    args: ['--process', `${folder}/process.json`, '--pid-file', `${folder}/pid`, entry.id],
  });
  argv.splice(1, 0, '--log', `${folder}/log`);
  const done = context.deps.recorder.begin({
    interface: 'oci',
    plugin: programName(record.ociRuntime),
    verb: 'exec',
    subject: containerSubject(entry),
    request: { args: process.args },
  });
  try {
    writeFileSync(`${folder}/process.json`, JSON.stringify(process), { mode: 0o600 });
    const code = await pump(argv, folder, io, signal).catch((err: unknown) => {
      if (!(err instanceof NotStarted)) throw err;
      throw criError('unknown', `exec in container ${record.metadata.name}: ${err.message}`);
    });
    done({ response: { exitCode: code } });
    return code;
  } catch (err) {
    done({ error: { code: 'failed', message: err instanceof Error ? err.message : String(err) } });
    throw err;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function execFolder(context: RuntimeContext): string {
  const folder = `${context.layout.execs}/${randomBytes(8).toString('hex')}`;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** In the words of the OCI runtime. */
class NotStarted extends Error {}

function pump(
  argv: readonly [string, ...string[]],
  folder: string,
  io: ExecStreams,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const [program, ...args] = argv;
    const child = spawn(program, args, {
      env: programEnv,
      stdio: [
        io.stdin === undefined ? 'ignore' : 'pipe',
        io.stdout === undefined ? 'ignore' : 'pipe',
        io.stderr === undefined ? 'ignore' : 'pipe',
      ],
      detached: true,
    });
    const outputs = [
      new CommandOutput(child.stdout, io.stdout),
      new CommandOutput(child.stderr, io.stderr, () => commandRuns(folder, child.pid)),
    ];
    const unpipe = pipeInput(io.stdin, child.stdin);
    let abortTimer: NodeJS.Timeout | undefined;
    const onAbort = (): void => {
      const killUntil = performance.now() + pidFileMs;
      const kill = (): void => {
        if (killCommand(folder) || performance.now() > killUntil) {
          abortTimer = setTimeout(() => killGroup(child), outputIdleMs);
        } else {
          abortTimer = setTimeout(kill, 10);
        }
      };
      kill();
    };
    const settle = (act: () => void): void => {
      clearTimeout(abortTimer);
      signal.removeEventListener('abort', onAbort);
      unpipe();
      if (signal.aborted) reject(signal.reason as Error);
      else act();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    child.on('error', (err) => {
      settle(() =>
        reject(criError('unavailable', `exec: ${program} could not be started (${errnoOf(err) ?? 'unknown'})`)),
      );
    });
    child.on('exit', (code) => {
      const refused = code === 0 || signal.aborted ? '' : runtimeWords(`${folder}/log`);
      if (refused !== '') {
        for (const output of outputs) output.discard();
        return settle(() => reject(new NotStarted(refused)));
      }
      // Gone with its namespace or killed: as a shell reports SIGKILL.
      void Promise.all(outputs.map(async (output) => await output.finish(signal))).then(() =>
        settle(() => resolve(code ?? 128 + sigKill)),
      );
    });
  });
}

/** Its process is there, and runs another program than the OCI runtime, which says on the same streams why it cannot start a command. */
function commandRuns(folder: string, ociPid: number | undefined): boolean {
  const pid = readPidFile(`${folder}/pid`);
  const program = pid === undefined ? undefined : programOf(pid);
  return program !== undefined && program !== programOf(ociPid ?? 0);
}

function programOf(pid: number): string | undefined {
  try {
    const { dev, ino } = statSync(`/proc/${pid}/exe`, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function killCommand(folder: string): boolean {
  const pid = readPidFile(`${folder}/pid`);
  const command = pid === undefined ? undefined : identify(pid);
  return command !== undefined && signalProcess(command, sigKill);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (err) {
    if (errnoOf(err) !== 'ESRCH') throw err;
  }
}

/** The end of the client's input closes the command's; a command that does not read is no error. */
function pipeInput(source: Readable | undefined, target: Writable | null): () => void {
  if (source === undefined || target === null) return () => {};
  target.on('error', () => {});
  const onError = (): void => {
    target.end();
  };
  source.on('error', onError);
  source.pipe(target);
  return () => {
    source.unpipe(target);
    source.removeListener('error', onError);
    target.destroy();
  };
}
