import { CriError } from '../../contract/cri-error.js';
import type { ContainerEntry } from '../state/container-entry.js';
import type { ContainerExit } from '../state/records.js';

/** How crun and runc say that there is no such program, that it is none, or that it cannot stand in its folder. */
const unfitWords = [
  /executable file .* not found/,
  /\bopen executable: /,
  /\bchdir (?:to cwd|`)/,
  /\bexec: "/,
  /\bmkdir .*: not a directory/,
];

/**
 * The OCI runtime looks for the program when it creates, but that it is missing is a fault of the container and not of the machine: as with
 * containerd and Docker the start fails with it, and the restart policy decides what comes next. Rethrows every other failure.
 */
export function whyUnfit(err: unknown): string {
  if (err instanceof CriError && err.failure.code === 'internal' && unfitWords.some((words) => words.test(err.message)))
    return err.message.replace(/^create container: /, '');
  throw err;
}

/** The end of a container whose start failed, with the code and the reason that containerd has for it. */
export function startError(message: string): Pick<ContainerExit, 'code' | 'reason' | 'message'> {
  return { code: 128, reason: 'StartError', message };
}

export function isUnfit({ phase, record }: ContainerEntry): boolean {
  return phase.kind === 'exited' && phase.exit.reason === 'StartError' && record.startedAtMs === undefined;
}
