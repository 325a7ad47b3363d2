import { mkdir, mkdtemp, open, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describeEnd, programSucceeded, runProgram } from '../../base/run-program.js';

const sizeBytes = 16 * 1024 ** 3;
const env = { PATH: '/usr/sbin:/sbin:/usr/bin:/bin' };

async function must(...argv: [string, ...string[]]): Promise<void> {
  const result = await runProgram({ argv, env, timeoutMs: 60_000 }, new AbortController().signal);
  if (!programSucceeded(result)) throw new Error(`${argv.join(' ')}: ${describeEnd(result)}`);
}

/**
 * A fresh ext4 filesystem in a sparse file, mounted: what is measured does not depend on what the machine's own disk was used for before.
 * (One without a journal passes over each inode that was freed in the last minutes when a new one is made: up to 0.3 ms a file after a
 * test run.)
 */
export class BenchDisk implements AsyncDisposable {
  readonly dir: string;
  readonly #home: string;

  private constructor(home: string) {
    this.#home = home;
    this.dir = join(home, 'disk');
  }

  static async open(): Promise<BenchDisk> {
    const disk = new BenchDisk(await mkdtemp('/run/berth-bench-'));
    const image = join(disk.#home, 'image');
    await using file = await open(image, 'wx', 0o600);
    await file.truncate(sizeBytes);
    await must('mkfs.ext4', '-q', '-E', 'lazy_itable_init=1', image);
    await mkdir(disk.dir);
    await must('mount', '-o', 'loop', image, disk.dir);
    return disk;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await must('umount', this.dir);
    await rm(join(this.#home, 'image'));
    await rmdir(this.dir);
    await rmdir(this.#home);
  }
}
