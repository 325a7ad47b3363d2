import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.js';
import { errnoOf } from '../../base/errors.js';

// What agents and their pods leave on a machine, and how it is taken away.

const never = new AbortController().signal;

/** The names in a folder; none where there is no such folder, or it goes while it is looked at. */
export async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  }
}

/** Command lines with their process ids, without this process. */
async function commandLines(): Promise<Array<readonly [number, string]>> {
  const found: Array<readonly [number, string]> = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    found.push([Number(pid), text.replaceAll('\0', ' ')]);
  }
  return found;
}

/** Processes of exactly this command line. */
export async function pidsOf(words: string): Promise<number[]> {
  return (await commandLines()).filter(([, command]) => command.trim() === words).map(([pid]) => pid);
}

/** Processes whose command line has all of these words. */
export async function pidsNaming(...words: string[]): Promise<number[]> {
  const all = await commandLines();
  return all.filter(([, command]) => words.every((word) => command.includes(word))).map(([pid]) => pid);
}

/** Processes whose command line has one of the texts; agents under test are none of them. */
export async function processesNaming(texts: readonly string[]): Promise<string[]> {
  return (await commandLines())
    .filter(([, command]) => !command.includes('crash-agent') && texts.some((text) => command.includes(text)))
    .map(([pid, command]) => `${pid} ${command.slice(0, 200)}`);
}

async function cgroupRoots(): Promise<string[]> {
  return (await readdir('/sys/fs/cgroup')).map((name) => join('/sys/fs/cgroup', name));
}

/** Cgroups of pods; those of the QoS tiers stay while the agent's root is there. */
export async function podCgroups(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const mount of await cgroupRoots()) {
    for (const tier of ['kubepods', 'kubepods/burstable', 'kubepods/besteffort']) {
      for (const name of await entries(join(mount, root, tier))) {
        if (name.startsWith('pod')) found.push(join(mount, root, tier, name));
      }
    }
  }
  return found;
}

/** In the order they were made. */
export function mountsBelow(folders: readonly string[]): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => folders.some((folder) => path.startsWith(folder)));
}

/** Those of the pods, by their cgroups, and what looks after them, by the folders it names; until none is left. */
export async function endProcesses(root: string, texts: readonly string[]): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const named = (await processesNaming(texts)).map((line) => Number(line.split(' ')[0]));
    const pids = new Set([...named, ...(await cgroupProcesses(root))]);
    if (pids.size === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (err) {
        if (errnoOf(err) !== 'ESRCH') throw err;
      }
    }
    await systemClock.sleep(20, never);
  }
  throw new Error(`processes of ${root} do not end`);
}

async function cgroupFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => []))
      if (entry.isDirectory()) await walk(join(folder, entry.name));
    found.push(folder);
  };
  for (const mount of await cgroupRoots()) if (existsSync(join(mount, root))) await walk(join(mount, root));
  return found;
}

async function cgroupProcesses(root: string): Promise<number[]> {
  const texts = (await cgroupFolders(root)).map((folder) =>
    readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => ''),
  );
  return (await Promise.all(texts)).flatMap((text) => text.split('\n').filter(Boolean).map(Number));
}

/** Deepest first. */
export async function removeCgroups(root: string): Promise<void> {
  for (const folder of await cgroupFolders(root)) await rmdir(folder).catch(() => {});
}
