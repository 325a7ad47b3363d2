import { readFile } from 'node:fs/promises';
import { describeEnd, programSucceeded, runProgram } from '../../../base/run-program.js';
import { DriverError } from './driver-error.js';
import type { StoredVolume } from './volume-store.js';

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/** Runs a program of the machine; its words become the answer of the RPC when it fails. */
export async function host(...argv: [string, ...string[]]): Promise<string> {
  const result = await runProgram({ argv, env, timeoutMs: 60_000 }, new AbortController().signal);
  if (!programSucceeded(result)) throw new DriverError('INTERNAL', `${argv.join(' ')}: ${describeEnd(result)}`);
  return result.stdout.toString('utf8').trim();
}

export async function isMounted(path: string): Promise<boolean> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  const escaped = path.replaceAll(' ', String.raw`\040`);
  return table.split('\n').some((line) => line.split(' ')[4] === escaped);
}

/** Where a volume is published; a path on which nothing is mounted any more does not count. */
export async function mountedTargets(volume: StoredVolume | undefined): Promise<string[]> {
  const mounted: string[] = [];
  for (const target of volume?.targets ?? []) if (await isMounted(target)) mounted.push(target);
  return mounted;
}

/** Mounts `source` at `target` as it is; read-only takes a second step, for a bind mount ignores options in its first. */
export async function bind(source: string, target: string, readOnly: boolean): Promise<void> {
  if (await isMounted(target)) return;
  await host('mount', '--bind', source, target);
  if (readOnly) await host('mount', '-o', 'remount,bind,ro', target);
}

export async function unmount(path: string): Promise<void> {
  // More than once, should a retry have mounted on top.
  while (await isMounted(path)) await host('umount', path);
}

/** The loop device that carries a file now. */
export async function loopOf(image: string): Promise<string | undefined> {
  const name = (await host('losetup', '--noheadings', '--output', 'NAME', '--associated', image))
    .split('\n')[0]
    ?.trim();
  return name === undefined || name === '' ? undefined : name;
}

export async function attachLoop(image: string): Promise<string> {
  return (await loopOf(image)) ?? (await host('losetup', '--find', '--show', image));
}

export async function detachLoop(image: string): Promise<void> {
  const device = await loopOf(image);
  if (device !== undefined) await host('losetup', '--detach', device);
}

/** True when nothing at all is on the device: only then may it be formatted. */
export async function isBlank(device: string): Promise<boolean> {
  const result = await runProgram(
    { argv: ['blkid', '-p', device], env, timeoutMs: 60_000 },
    new AbortController().signal,
  );
  return result.end.kind === 'exited' && result.end.code === 2;
}
