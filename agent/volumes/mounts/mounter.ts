import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { namePath } from '../../../base/name-path.js';
import { describeEnd, programSucceeded, type ProgramResult, type RunProgram } from '../../../base/run-program.js';
import { VolumeProblem } from '../volume-error.js';
import { Batches } from './batches.js';
import { escapePath, mountsBelow, readMountInfo } from './mount-table.js';

/** A line of fstab. `source` and `target` are used as they are, without following what a container could put there. */
export interface MountRequest {
  readonly source: string;
  readonly target: string;
  readonly fsType: string;
  readonly options: readonly string[];
}

export interface MounterOptions {
  /** Where lists for `mount` are written; only the agent may write there. */
  readonly workDir: string;
  /** How long a mount or unmount may take before its program is killed. */
  readonly timeoutMs?: number | undefined;
}

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/**
 * Mounts and unmounts through util-linux. What several pods ask for while one program runs goes into the next one together: a burst of
 * pods costs few children.
 */
export class Mounter {
  readonly #options: MounterOptions;
  readonly #run: RunProgram;
  readonly #lifetime: AbortSignal;
  readonly #mounts = new Batches<MountRequest>((groups) => this.#mountGroups(groups));
  readonly #unmounts = new Batches<string>((groups) => this.#unmountGroups(groups));

  private constructor(options: MounterOptions, run: RunProgram, lifetime: AbortSignal) {
    this.#options = options;
    this.#run = run;
    this.#lifetime = lifetime;
  }

  static async open(options: MounterOptions, run: RunProgram, lifetime: AbortSignal): Promise<Mounter> {
    await mkdir(options.workDir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(options.workDir)) {
      if (name.startsWith('fstab-')) await rm(join(options.workDir, name), { force: true });
    }
    return new Mounter(options, run, lifetime);
  }

  /**
   * Makes all of them, or fails with the program's words about these; those that succeeded stay. Once begun it is waited for even when the
   * signal aborts: a source may be a descriptor that must stay open until then.
   */
  async mount(requests: readonly MountRequest[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (requests.length > 0) await this.#mounts.submit(requests);
  }

  /** In the order given. What is not mounted is a success; what is busy fails with `busy` and stays mounted. */
  async unmount(targets: readonly string[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (targets.length > 0) await this.#unmounts.submit(targets);
  }

  /** A single mount by hand, for types whose helper program speaks for itself (`mount -t nfs`). */
  async mountOne(
    request: MountRequest,
    timeoutMs: number,
    signal: AbortSignal,
    onStderr?: (chunk: string) => void,
  ): Promise<ProgramResult> {
    const { source, target, fsType, options } = request;
    const argv = [
      'mount',
      '-t',
      fsType,
      ...(options.length > 0 ? ['-o', options.join(',')] : []),
      '--',
      source,
      target,
    ];
    return await this.#run(
      { argv: argv as [string, ...string[]], env, timeoutMs, ...(onStderr && { onStderr }) },
      signal,
    );
  }

  async #mountGroups(groups: readonly (readonly MountRequest[])[]): Promise<(Error | undefined)[]> {
    const together = await this.#mountList(groups.flat());
    if (programSucceeded(together)) return groups.map(() => undefined);
    const [group] = groups;
    if (groups.length === 1 && group) return [new VolumeProblem('failed', mountWords(together))];
    const results: (Error | undefined)[] = [];
    // One bad entry must not be told to everybody: each group is tried by itself, without what is there by now.
    for (const each of groups) {
      const missing = await notMounted(each);
      const alone = missing.length === 0 ? undefined : await this.#mountList(missing);
      results.push(
        alone === undefined || programSucceeded(alone) ? undefined : new VolumeProblem('failed', mountWords(alone)),
      );
    }
    return results;
  }

  async #mountList(requests: readonly MountRequest[]): Promise<ProgramResult> {
    const list = join(this.#options.workDir, `fstab-${randomBytes(6).toString('hex')}`);
    try {
      await writeFile(list, requests.map(fstabLine).join(''), { mode: 0o600, flag: 'wx' }).catch((err: unknown) => {
        throw namePath(err, list);
      });
      // Without -c, mount would resolve a source like /proc/1/fd/7 to the path it once had.
      return await this.#program(['mount', '-c', '-a', '-T', list]);
    } finally {
      await rm(list, { force: true });
    }
  }

  async #unmountGroups(groups: readonly (readonly string[])[]): Promise<(Error | undefined)[]> {
    const result = await this.#program(['umount', '-c', '--', ...groups.flat()]);
    if (programSucceeded(result)) return groups.map(() => undefined);
    const mountInfo = await readMountInfo();
    return groups.map((targets) => {
      const left = targets.filter((target) => mountsBelow(mountInfo, target).some((m) => m.mountPoint === target));
      return left.length === 0 ? undefined : unmountFailure(left, result);
    });
  }

  async #program(argv: [string, ...string[]]): Promise<ProgramResult> {
    return await this.#run({ argv, env, timeoutMs: this.#options.timeoutMs ?? 30_000 }, this.#lifetime);
  }
}

function fstabLine({ source, target, fsType, options }: MountRequest): string {
  return `${escapePath(source)} ${escapePath(target)} ${fsType} ${options.length > 0 ? options.join(',') : 'defaults'} 0 0\n`;
}

async function notMounted(requests: readonly MountRequest[]): Promise<MountRequest[]> {
  const mountInfo = await readMountInfo();
  return requests.filter(({ target }) => !mountsBelow(mountInfo, target).some((m) => m.mountPoint === target));
}

const mountWords = (result: ProgramResult): string => `mount ${describeEnd(result)}`;

function unmountFailure(left: readonly string[], result: ProgramResult): VolumeProblem {
  const lines = result.stderr.split('\n').filter((line) => left.some((target) => line.includes(target)));
  const words = lines.length > 0 ? lines.join('; ') : describeEnd(result);
  return new VolumeProblem(/busy/.test(words) ? 'busy' : 'failed', words);
}
