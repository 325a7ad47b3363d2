import { stat } from 'node:fs/promises';
import { describeEnd, programSucceeded, type ProgramResult, type RunProgram } from '../../../base/run-program.js';
import { isMountPoint } from '../fs/is-mount-point.js';
import { VolumeProblem } from '../volume-error.js';
import type { Mounter } from './mounter.js';

export interface DeviceMount {
  readonly device: string;
  /** A folder that exists. */
  readonly target: string;
  /** ext4 when empty. */
  readonly fsType: string;
  readonly readOnly: boolean;
  readonly mountOptions: readonly string[];
}

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const timeoutMs = 600_000;

/**
 * Mounts a block device, with a file system made on it when it has nothing at all: blkid must have found neither a file system nor a
 * partition table. A device whose state is not known is never formatted.
 */
export async function formatAndMount(
  mount: DeviceMount,
  deps: { readonly run: RunProgram; readonly mounter: Mounter },
  signal: AbortSignal,
): Promise<void> {
  const { device, target, readOnly, mountOptions } = mount;
  if (await isMountPoint(target)) return;
  const fsType = mount.fsType === '' ? 'ext4' : mount.fsType;
  const program = (argv: [string, ...string[]]): Promise<ProgramResult> => deps.run({ argv, env, timeoutMs }, signal);
  if (!(await stat(device)).isBlockDevice()) throw new VolumeProblem('refused', `${device} is not a block device`);
  const found = await program(['blkid', '-p', '-s', 'TYPE', '-s', 'PTTYPE', '-o', 'export', device]);
  if (found.end.kind === 'exited' && found.end.code === 2) {
    if (readOnly)
      throw new VolumeProblem(
        'refused',
        `cannot mount unformatted disk ${device} as we are manipulating it in read-only mode`,
      );
    await format(program, device, fsType);
  } else if (!programSucceeded(found)) {
    throw new VolumeProblem('failed', `look at ${device}: blkid ${describeEnd(found)}`);
  } else {
    checkFormat(device, found.stdout.toString('utf8'));
    if (!readOnly) await check(program, device);
  }
  const options = [...(readOnly ? ['ro'] : []), ...mountOptions];
  const result = await deps.mounter.mountOne({ source: device, target, fsType, options }, timeoutMs, signal);
  if (programSucceeded(result)) return;
  const there = /^TYPE=(.*)$/m.exec(found.stdout.toString('utf8'))?.[1] ?? fsType;
  if (there === fsType) throw new VolumeProblem('failed', `mount ${device}: ${describeEnd(result)}`);
  throw new VolumeProblem(
    'wrong-file-system',
    `mount ${device}, which holds ${there}, as ${fsType}: ${describeEnd(result)}`,
  );
}

async function format(
  program: (argv: [string, ...string[]]) => Promise<ProgramResult>,
  device: string,
  fsType: string,
): Promise<void> {
  if (!/^[a-z0-9]+$/.test(fsType)) throw new VolumeProblem('refused', `${fsType} is no file system type`);
  // No space kept for root: the volume is not a system's disk.
  const options = /^ext[34]$/.test(fsType) ? ['-F', '-m0'] : [];
  const made = await program([`mkfs.${fsType}`, ...options, device]);
  if (!programSucceeded(made)) throw new VolumeProblem('failed', `make ${fsType} on ${device}: ${describeEnd(made)}`);
}

function checkFormat(device: string, words: string): void {
  if (/^TYPE=/m.test(words)) return;
  const table = /^PTTYPE=(.*)$/m.exec(words)?.[1] ?? 'an unknown content';
  throw new VolumeProblem('refused', `${device} holds no file system but ${table}; it is not formatted`);
}

/** 1: errors were corrected. 4: errors are left, and mounting would make them worse. */
async function check(program: (argv: [string, ...string[]]) => Promise<ProgramResult>, device: string): Promise<void> {
  const checked = await program(['fsck', '-a', device]);
  if (checked.end.kind === 'exited' && checked.end.code === 4)
    throw new VolumeProblem(
      'failed',
      `fsck found errors on ${device} that it could not correct: ${describeEnd(checked)}`,
    );
}
