import { realpath } from 'node:fs/promises';
import { describeEnd, programSucceeded, type RunProgram } from '../../../base/run-program.js';
import { VolumeProblem } from '../volume-error.js';
import { mountHolding, mountsBelow, readMountInfo } from './mount-table.js';

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const timeoutMs = 30_000;

/**
 * Makes a folder a place whose mounts are passed on, as a kubelet does with its root folder at its start: a driver in a container that mounts
 * below it (`mountPropagation: Bidirectional`) is then seen by the host and by other containers. Under systemd everything is so already, and
 * nothing is done. What this mounts stays, for containers outlive the agent.
 */
export async function shareFolder(folder: string, run: RunProgram, signal: AbortSignal): Promise<void> {
  const path = await realpath(folder);
  const mountInfo = await readMountInfo();
  const holding = mountHolding(mountInfo, path);
  if (holding?.shared) return;
  const isMounted = holding?.mountPoint === path;
  // Covered mounts could not be unmounted any more.
  if (!isMounted && mountsBelow(mountInfo, path).length > 0)
    throw new VolumeProblem('busy', `${path} cannot be made shared while something is mounted below it`);
  if (!isMounted) await program(['mount', '--bind', '--', path, path], run, signal);
  await program(['mount', '--make-rshared', '--', path], run, signal);
}

async function program(argv: [string, ...string[]], run: RunProgram, signal: AbortSignal): Promise<void> {
  const result = await run({ argv, env, timeoutMs }, signal);
  if (!programSucceeded(result)) throw new VolumeProblem('failed', `${argv.join(' ')}: ${describeEnd(result)}`);
}

/** A runtime would start the container all the same, and what it mounts would be seen by nobody. */
export async function checkShared(paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return;
  const mountInfo = await readMountInfo();
  for (const given of paths) {
    const path = await realpath(given).catch(() => given);
    const holding = mountHolding(mountInfo, path);
    if (holding?.shared) continue;
    throw new VolumeProblem(
      'refused',
      `mountPropagation Bidirectional: path "${path}" is mounted on "${holding?.mountPoint ?? '/'}" but it is not a shared mount; ` +
        'mount --make-rshared / makes it one, or berth agent --share-root-dir for volumes of pods',
    );
  }
}
