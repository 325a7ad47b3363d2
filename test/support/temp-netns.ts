import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostProgram } from './host-program.js';

export interface TempNetnsOptions {
  /** Folder for the namespace file; made when missing. A fresh folder under the temporary folder when absent. */
  readonly folder?: string;
  readonly name?: string;
  /** Bring `lo` up, as a runtime does when it makes a sandbox. Default true. */
  readonly loopback?: boolean;
}

/** A network namespace pinned on a file, as the embedded runtime pins its sandboxes; gone when disposed. */
export class TempNetns implements AsyncDisposable {
  readonly path: string;
  readonly #ownFolder: string | undefined;
  #pinned = true;

  private constructor(path: string, ownFolder: string | undefined) {
    this.path = path;
    this.#ownFolder = ownFolder;
  }

  static async open(options: TempNetnsOptions = {}): Promise<TempNetns> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'berth-netns-')));
    const ownFolder = options.folder === undefined ? folder : undefined;
    await mkdir(folder, { recursive: true });
    const path = join(folder, options.name ?? 'net');
    await writeFile(path, '', { flag: 'wx' });
    const netns = new TempNetns(path, ownFolder);
    await hostProgram(['unshare', `--net=${path}`, 'true']);
    if (options.loopback ?? true) await netns.run(['ip', 'link', 'set', 'lo', 'up']);
    return netns;
  }

  /** Runs a program inside the namespace; returns what it printed, rejects when it fails. */
  async run(argv: readonly [string, ...string[]], timeoutMs?: number): Promise<string> {
    return await hostProgram(['nsenter', `--net=${this.path}`, ...argv], timeoutMs);
  }

  async linkNames(): Promise<string[]> {
    const links = JSON.parse(await this.run(['ip', '-j', 'link', 'show'])) as Array<{ ifname: string }>;
    return links.map((link) => link.ifname);
  }

  /** Global addresses of one link with their prefix: `10.88.0.5/24`. */
  async addresses(ifName: string): Promise<string[]> {
    const links = JSON.parse(await this.run(['ip', '-j', 'address', 'show', 'dev', ifName])) as Array<{
      addr_info?: Array<{ local: string; prefixlen: number; scope: string }>;
    }>;
    return links.flatMap((link) =>
      (link.addr_info ?? []).filter((a) => a.scope === 'global').map((a) => `${a.local}/${a.prefixlen}`),
    );
  }

  /** Takes the namespace away, as someone from outside would; disposing later is still fine. */
  async remove(): Promise<void> {
    if (!this.#pinned) return;
    this.#pinned = false;
    await hostProgram(['umount', this.path]);
    await rm(this.path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
    if (this.#ownFolder !== undefined) await rm(this.#ownFolder, { recursive: true, force: true });
  }
}
