import type { CallSubject } from '../../../base/call-recorder.js';
import { describeEnd, programSucceeded, type ProgramResult } from '../../../base/run-program.js';
import { criError } from '../../contract/cri-error.js';
import type { EmbeddedRuntimeDeps } from '../options.js';

/** All that programs started by the runtime see of an environment. */
export const programEnv: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
};

export interface OciCall {
  /** Path of crun, runc, ... */
  readonly program: string;
  readonly root: string;
  readonly systemdCgroup: boolean;
  readonly verb: string;
  readonly args: readonly string[];
  readonly stdin?: string | undefined;
  /** For verbs that answer by how they end. */
  readonly discardStdout?: boolean | undefined;
  readonly subject: CallSubject;
  readonly timeoutMs: number;
}

export function ociArgv(
  call: Pick<OciCall, 'program' | 'root' | 'systemdCgroup' | 'verb' | 'args'>,
): [string, ...string[]] {
  const global = call.systemdCgroup ? ['--root', call.root, '--systemd-cgroup'] : ['--root', call.root];
  return [call.program, ...global, call.verb, ...call.args];
}

type ProgramDeps = Pick<EmbeddedRuntimeDeps, 'run' | 'recorder'>;

/** Runs one verb of the OCI runtime to its end and records it; how it ended is for the caller to judge. */
export async function runOci(call: OciCall, deps: ProgramDeps, signal: AbortSignal): Promise<ProgramResult> {
  const argv = ociArgv(call);
  const done = deps.recorder.begin({
    interface: 'oci',
    plugin: programName(call.program),
    verb: call.verb,
    subject: call.subject,
    request: { argv },
  });
  try {
    const result = await deps.run(
      {
        argv,
        env: programEnv,
        timeoutMs: call.timeoutMs,
        discardStdout: call.discardStdout ?? false,
        ...(call.stdin === undefined ? {} : { stdin: call.stdin }),
      },
      signal,
    );
    done(programSucceeded(result) ? {} : { error: { code: result.end.kind, message: describeEnd(result) } });
    return result;
  } catch (err) {
    done({ error: { code: 'aborted', message: 'the call was cancelled' } });
    throw err;
  }
}

/** `runOci` that fails when the verb does. */
export async function mustRunOci(call: OciCall, deps: ProgramDeps, signal: AbortSignal): Promise<ProgramResult> {
  const result = await runOci(call, deps, signal);
  if (!programSucceeded(result)) {
    throw criError(
      result.end.kind === 'timed-out' ? 'deadline-exceeded' : 'internal',
      `${call.verb} container: ${programName(call.program)} ${describeEnd(result)}`,
    );
  }
  return result;
}

/** Runs a system program (mount, umount, ...) that must succeed. */
export async function mustRun(
  argv: readonly [string, ...string[]],
  what: string,
  deps: Pick<EmbeddedRuntimeDeps, 'run'>,
  signal: AbortSignal,
): Promise<void> {
  const result = await deps.run({ argv, env: programEnv, timeoutMs: 60_000, discardStdout: true }, signal);
  if (!programSucceeded(result)) throw criError('internal', `${what}: ${argv[0]} ${describeEnd(result)}`);
}

export function programName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
