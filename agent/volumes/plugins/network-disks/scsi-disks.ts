import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoOf } from '../../../../base/errors.js';
import { describeEnd, programSucceeded, type RunProgram } from '../../../../base/run-program.js';
import { VolumeProblem } from '../../volume-error.js';

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const flushMs = 30_000;
const resizeMs = 30_000;
/** In which the kernel counts, whatever the disk's own are. */
const sectorBytes = 512;

/** SCSI disks of this machine and the multipath devices on top of them, as the kernel shows them. */
export class ScsiDisks {
  readonly #sys: string;
  readonly #run: RunProgram;

  /** `sys`: `/sys`. */
  constructor(sys: string, run: RunProgram) {
    this.#sys = sys;
    this.#run = run;
  }

  /** What to mount of the paths to one disk: the multipath device on top, else the first; undefined without any. */
  async toMount(devices: readonly string[]): Promise<string | undefined> {
    for (const device of devices) {
      const multipath = await this.#multipathOf(device);
      if (multipath !== undefined) return multipath;
    }
    return devices[0];
  }

  /** Has the kernel look for one disk of a host, and for no other. */
  async scan(host: string, lun: number): Promise<void> {
    await writeFile(join(this.#sys, 'class/scsi_host', host, 'scan'), `0 0 ${lun}`);
  }

  /** Has the kernel look for disks on all hosts. */
  async scanAll(): Promise<void> {
    const hosts = join(this.#sys, 'class/scsi_host');
    for (const host of await namesIn(hosts)) await writeFile(join(hosts, host, 'scan'), '- - -').catch(() => {});
  }

  /** Bytes of a disk, or of a multipath device and the paths below it, after the kernel has asked for them again. */
  async sizeNow(device: string, signal: AbortSignal): Promise<number> {
    const name = basename(device);
    const paths = await namesIn(join(this.#sys, 'block', name, 'slaves'));
    for (const path of paths.length > 0 ? paths : [name])
      await writeFile(join(this.#sys, 'block', path, 'device/rescan'), '1');
    if (paths.length > 0) {
      const result = await this.#run({ argv: ['multipathd', 'resize', 'map', name], env, timeoutMs: resizeMs }, signal);
      if (!programSucceeded(result)) throw new VolumeProblem('failed', `multipathd resize map ${describeEnd(result)}`);
    }
    return Number(await attribute(join(this.#sys, 'block', name, 'size'))) * sectorBytes;
  }

  /**
   * The kernel forgets the disk; nothing of it may be mounted. As in the kubelet, a flush that fails is no reason to keep it: `flush` names
   * a program that also writes out what the disk itself still has to take.
   */
  async letGo(device: string, signal: AbortSignal, flush?: readonly [string, ...string[]]): Promise<void> {
    const multipath = await this.#multipathOf(device);
    const programs = [multipath === undefined ? undefined : (['multipath', '-f', multipath] as const), flush];
    for (const argv of programs)
      if (argv !== undefined) await this.#run({ argv: [...argv], env, timeoutMs: flushMs }, signal);
    await writeFile(join(this.#sys, 'block', basename(device), 'device/delete'), '1').catch((err: unknown) => {
      if (errnoOf(err) !== 'ENOENT') throw err;
    });
  }

  async #multipathOf(device: string): Promise<string | undefined> {
    const block = join(this.#sys, 'block');
    for (const name of (await namesIn(block)).filter((one) => one.startsWith('dm-')))
      if ((await namesIn(join(block, name, 'slaves'))).includes(basename(device))) return join('/dev', name);
    return undefined;
  }
}

/** Nothing where there is no such folder: a machine without such disks has none. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return [];
    throw err;
  }
}

/** An attribute of the kernel; empty where there is none. */
export async function attribute(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).trim();
}

/** Where a link of udev leads; undefined while it is not there. */
export async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return join('/dev', basename(await readlink(path)));
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}
