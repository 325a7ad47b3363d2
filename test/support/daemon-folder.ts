import { mkdtemp, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { eventually } from './daemon.js';
import { hostProgram, tryHostProgram } from './host-program.js';
import { LeakCheck } from './leak-check.js';

/** A temporary folder that daemons of a test work in; disposing it ends, unmounts and removes what they left, and looks for leaks. */
export class DaemonFolder implements AsyncDisposable {
  readonly path: string;
  readonly #leaks: LeakCheck;

  private constructor(path: string, leaks: LeakCheck) {
    this.path = path;
    this.#leaks = leaks;
  }

  static async open(prefix: string): Promise<DaemonFolder> {
    const path = await mkdtemp(join(tmpdir(), prefix));
    return new DaemonFolder(path, await LeakCheck.open({ tokens: [basename(path)] }));
  }

  /** Unique on the machine: for cgroups and the like. */
  get name(): string {
    return basename(this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endProcessesOf(this.path);
    await unmountBelow(this.path);
    await removeCgroups(this.name);
    await rm(this.path, { recursive: true, force: true });
    await this.#leaks[Symbol.asyncDispose]();
  }
}

/** Shims and monitors outlive their daemon: they are found by the folder in their arguments. */
async function endProcessesOf(folder: string): Promise<void> {
  await eventually(`no process of ${folder} is left`, async () => {
    const found: number[] = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const command = await readFile(join('/proc', name, 'cmdline'), 'utf8').catch(() => '');
      if (command.includes(folder)) found.push(Number(name));
    }
    for (const pid of found) killIfThere(pid);
    return found.length === 0;
  });
}

export async function unmountBelow(folder: string): Promise<void> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const points = lines.map((line) => line.split(' ')[4] ?? '').filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.toReversed()) await hostProgram(['umount', '-l', point]);
}

/**
 * Ends what still runs below a parent cgroup of the test's own (a daemon that was killed and never came back leaves its
 * containers running) and removes what OCI runtimes left there, in every hierarchy.
 */
export async function removeCgroups(name: string): Promise<void> {
  await eventually(`no cgroup of ${name} is left`, async () => {
    const found = await tryHostProgram(['find', '/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*/${name}*`]);
    const folders = found.stdout.toString('utf8').split('\n');
    for (const folder of folders.filter((path) => path !== '')) {
      const members = await readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => '');
      for (const pid of members.split('\n').filter((text) => text !== '')) killIfThere(Number(pid));
      await rmdir(folder).catch(() => {});
    }
    return folders.length <= 1;
  });
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it went by itself
  }
}
