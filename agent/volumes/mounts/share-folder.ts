import { realpath } from 'node:fs/promises';
import type { MountPropagation } from '../../../proto/generated/cri-v1.js';
import { describeEnd, programSucceeded, type RunProgram } from '../../../base/run-program.js';
import { VolumeProblem } from '../volume-error.js';
import { mountHolding, mountsBelow, readMountInfo, type MountEntry } from './mount-table.js';

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

export interface PropagatedMount {
  readonly hostPath?: string | undefined;
  readonly propagation?: MountPropagation | undefined;
}

/**
 * What is mounted later would reach nobody where the mounts are private: a kubelet's runtimes refuse such a container, and so it is here for
 * every runtime. Mounts that ask for nothing cost no look.
 */
export async function checkPropagation(mounts: readonly PropagatedMount[]): Promise<void> {
  const asking = mounts.filter(({ propagation }) => propagation !== undefined && propagation in needs);
  if (asking.length === 0) return;
  const mountInfo = await readMountInfo();
  for (const { hostPath, propagation } of asking) {
    const need = needs[propagation ?? ''];
    if (hostPath === undefined || !need) continue;
    const path = await realpath(hostPath).catch(() => hostPath);
    const holding = mountHolding(mountInfo, path);
    if (holding && need.holds(holding)) continue;
    throw new VolumeProblem(
      'refused',
      `mountPropagation ${need.word}: path "${path}" is mounted on "${holding?.mountPoint ?? '/'}" but it is not a ${need.kind} mount; ` +
        'mount --make-rshared / makes it one, or berth agent --share-root-dir for volumes of pods',
    );
  }
}

interface Need {
  readonly word: string;
  readonly kind: string;
  holds(mount: MountEntry): boolean;
}

const needs: Readonly<Record<string, Need>> = {
  PROPAGATION_BIDIRECTIONAL: { word: 'Bidirectional', kind: 'shared', holds: ({ shared }) => shared },
  PROPAGATION_HOST_TO_CONTAINER: {
    word: 'HostToContainer',
    kind: 'shared or slave',
    holds: ({ shared, slave }) => shared || slave,
  },
};
