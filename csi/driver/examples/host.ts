import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
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
  return (await loopsOf(image))[0]?.name;
}

export async function attachLoop(image: string): Promise<string> {
  if (!(await untilGone(image)))
    throw new DriverError('ABORTED', `${image}: its last device is still in use, and goes with its last user`);
  return (await loopOf(image)) ?? (await host('losetup', '--find', '--show', image));
}

export async function detachLoop(image: string): Promise<void> {
  // One that goes anyway may be another image's by the time its name is used.
  for (const { name, goes } of await loopsOf(image)) if (!goes) await host('losetup', '--detach', name);
  // Whoever still has it open, the kernel does the rest.
  await untilGone(image);
}

/** A device carries a file system somewhere. */
export async function isMountedFrom(device: string): Promise<boolean> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  return table.split('\n').some((line) => line.split(' - ')[1]?.split(' ')[1] === device);
}

async function loopsOf(image: string): Promise<{ readonly name: string; readonly goes: boolean }[]> {
  const table = await host('losetup', '--noheadings', '--output', 'NAME,AUTOCLEAR', '--associated', image);
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/));
  return rows.flatMap(([name = '', autoclear]) => (name === '' ? [] : [{ name, goes: autoclear === '1' }]));
}

/**
 * A device that is still open somewhere when it is detached goes with its last user. That may be a copy of a mount in another mount namespace,
 * which a container that starts takes with it for a moment. Until then it still carries the image, and its name belongs to nobody the moment
 * after: it must not be taken for a device that is there. False when it takes too long.
 */
async function untilGone(image: string): Promise<boolean> {
  const deadline = performance.now() + 10_000;
  while ((await loopsOf(image)).some(({ goes }) => goes)) {
    if (performance.now() > deadline) return false;
    await delay(50);
  }
  return true;
}

/** True when nothing at all is on the device: only then may it be formatted. */
export async function isBlank(device: string): Promise<boolean> {
  const result = await runProgram(
    { argv: ['blkid', '-p', device], env, timeoutMs: 60_000 },
    new AbortController().signal,
  );
  return result.end.kind === 'exited' && result.end.code === 2;
}
