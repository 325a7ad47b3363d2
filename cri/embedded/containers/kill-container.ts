import { readdirSync, readFileSync, rmdirSync, writeFileSync, type Dirent } from 'node:fs';
import { errnoOf } from '../../../base/errors.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import { readProc, signalProcess } from '../host/process-identity.js';
import type { ContainerEntry } from '../state/container-entry.js';

const sigKill = 9;

/** SIGKILL to everything in the container. The end itself is told by conmon. */
export function killContainer(context: RuntimeContext, entry: ContainerEntry): void {
  const { init } = entry;
  if (init !== undefined) signalProcess(init, sigKill);
  // The kernel ends a PID namespace with its first process; where that is shared, each process must be found.
  if (!entry.record.privatePid) killCgroup(context, entry.record.cgroup);
}

/** Every process of a cgroup and of those below it; one that is not there is fine. */
export function killCgroup(context: RuntimeContext, cgroup: string): void {
  const { host } = context;
  if (host.cgroupVersion === 2) {
    try {
      writeFileSync(`${host.cgroupMount('')}${cgroup}/cgroup.kill`, '1');
      return;
    } catch (err) {
      // Before Linux 5.14 there is no such file: then one by one, as on v1.
      if (errnoOf(err) !== 'ENOENT') throw err;
    }
  }
  // A process may fork while the list is read; a few rounds catch up with all but a fork bomb, which ends with its cgroup's removal.
  for (let round = 0; round < 10; round++) {
    const pids = cgroupFolders(`${host.cgroupMount('pids')}${cgroup}`).flatMap(cgroupProcesses);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (err) {
        if (errnoOf(err) !== 'ESRCH') throw err;
      }
    }
  }
}

export function cgroupProcesses(path: string): number[] {
  try {
    return readFileSync(`${path}/cgroup.procs`, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENODEV') return [];
    throw err;
  }
}

/** For an id without a record: where its cgroup is can only be asked of the processes that are in it. */
export function killCgroupsOf(context: RuntimeContext, id: string): void {
  const paths = new Set<string>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const line = readProc(`/proc/${name}/cgroup`)
      ?.split('\n')
      .find((candidate) => candidate.includes(id));
    if (line !== undefined) paths.add(line.slice(line.indexOf(':', line.indexOf(':') + 1) + 1));
  }
  for (const path of paths) killCgroup(context, path);
}

/** A cgroup with those below it, deepest first; none when it is not there. */
function cgroupFolders(path: string): string[] {
  let names: Dirent[];
  try {
    names = readdirSync(path, { withFileTypes: true });
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENODEV') return [];
    throw err;
  }
  const below = names.filter((name) => name.isDirectory()).flatMap((name) => cgroupFolders(`${path}/${name.name}`));
  return [...below, path];
}

/** How long processes that were killed may take to leave a cgroup, and the pauses between tries. */
const mostBusyMs = 10_000;
const busyPausesMs = { first: 1, last: 100 };

/**
 * What an OCI runtime that was killed leaves; after one that did its work there is nothing. A process that was killed is in its cgroup
 * until the kernel has taken it apart: until then the cgroup is busy, and v1 tells nobody when it no longer is.
 */
export async function removeCgroup(context: RuntimeContext, cgroup: string, signal: AbortSignal): Promise<void> {
  const { host, deps } = context;
  const deadline = performance.now() + mostBusyMs;
  for (let pauseMs = busyPausesMs.first; ; pauseMs = Math.min(pauseMs * 2, busyPausesMs.last)) {
    const busy = host.cgroupHierarchies.flatMap((hierarchy) => removeTree(`${hierarchy}${cgroup}`));
    if (busy.length === 0) return;
    if (performance.now() > deadline) {
      throw criError(
        'internal',
        `remove cgroup ${cgroup}: still busy ${mostBusyMs} ms after its processes were killed`,
      );
    }
    await deps.clock.sleep(pauseMs, signal);
    killCgroup(context, cgroup);
  }
}

/** Those that could not be removed because something is in them. */
function removeTree(path: string): string[] {
  if (removedOrGone(path)) return [];
  return cgroupFolders(path).filter((folder) => !removedOrGone(folder));
}

function removedOrGone(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT') return true;
    if (errno === 'EBUSY' || errno === 'ENOTEMPTY') return false;
    throw err;
  }
}
