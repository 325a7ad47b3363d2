import { describeEnd, programSucceeded, type RunProgram } from '../../../base/run-program.js';
import { VolumeProblem } from '../volume-error.js';

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const timeoutMs = 600_000;

/** Makes a mounted file system as large as its device. */
export async function growFileSystem(
  device: string,
  mounted: string,
  { run }: { readonly run: RunProgram },
  signal: AbortSignal,
): Promise<void> {
  const found = await run(
    { argv: ['findmnt', '--noheadings', '--output', 'FSTYPE', '--mountpoint', mounted], env, timeoutMs },
    signal,
  );
  if (!programSucceeded(found)) throw new VolumeProblem('failed', `look at ${mounted}: findmnt ${describeEnd(found)}`);
  const argv = growers(found.stdout.toString('utf8').trim(), device, mounted);
  const grown = await run({ argv, env, timeoutMs }, signal);
  if (!programSucceeded(grown)) throw new VolumeProblem('failed', `grow ${device}: ${argv[0]} ${describeEnd(grown)}`);
}

function growers(fsType: string, device: string, mounted: string): [string, ...string[]] {
  if (/^ext[234]$/.test(fsType)) return ['resize2fs', device];
  if (fsType === 'xfs') return ['xfs_growfs', '-d', mounted];
  if (fsType === 'btrfs') return ['btrfs', 'filesystem', 'resize', 'max', mounted];
  throw new VolumeProblem('unsupported', `a file system of type "${fsType}" cannot be grown`);
}
