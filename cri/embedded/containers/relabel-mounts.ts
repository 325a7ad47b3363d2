import { posix } from 'node:path';
import { describeEnd, programSucceeded } from '../../../base/run-program.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import { programEnv } from '../host/oci-program.js';
import type { EmbeddedRuntimeDeps } from '../options.js';

/** A volume may have millions of files. */
const timeoutMs = 600_000;

/** Folders that belong to the machine: with the label of a container's files on them it would not start again. */
const machines = new Set(
  '/ /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /var /var/lib /var/log'.split(
    ' ',
  ),
);

/**
 * Gives the files of volumes that ask for it (`selinux_relabel`) the label of the container's files, as every runtime does. No label: SELinux is
 * off here, or the container has none of its own, and nothing is touched. Links are not followed; a file system that keeps no labels is
 * none to change.
 */
export async function relabelMounts(
  mounts: readonly Pick<v1.Mount, 'selinuxRelabel' | 'hostPath'>[],
  label: string,
  deps: Pick<EmbeddedRuntimeDeps, 'run'>,
  signal: AbortSignal,
): Promise<void> {
  if (label === '') return;
  const asked = mounts.filter(({ selinuxRelabel }) => selinuxRelabel === true).map(({ hostPath = '' }) => hostPath);
  for (const path of new Set(asked)) {
    if (path === '') continue;
    if (machines.has(posix.resolve(path)))
      throw criError('invalid-argument', `relabel ${path} for SELinux: it is the machine's own`);
    const argv = ['chcon', '--recursive', '--no-dereference', '--', label, path] as const;
    const result = await deps.run({ argv: [...argv], env: programEnv, timeoutMs, discardStdout: true }, signal);
    if (programSucceeded(result) || keepsNoLabels(result.stderr)) continue;
    throw criError('internal', `relabel ${path} for SELinux: chcon ${describeEnd(result)}`);
  }
}

function keepsNoLabels(stderr: string): boolean {
  const lines = stderr.split('\n').filter((line) => line !== '');
  return lines.length > 0 && lines.every((line) => line.endsWith('Operation not supported'));
}
