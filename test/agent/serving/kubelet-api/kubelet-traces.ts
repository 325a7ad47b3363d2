import { readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a kubelet sets as it likes it, whatever its configuration says. */
const kernelSettings = [
  ...['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops'],
  ...['kernel/keys/root_maxkeys', 'kernel/keys/root_maxbytes'],
].map((name) => `/proc/sys/${name}`);
const logLinks = '/var/log/containers';
/** Where it listens for device plugins, wherever its own folder is. */
export const fixedPlace = '/var/lib/kubelet';

/** What a kubelet leaves on a machine outside of the folders it is given: opened before it starts, and taken away when disposed. */
export class KubeletTraces implements AsyncDisposable {
  readonly #folder: string;
  readonly #settings: readonly string[];

  private constructor(folder: string, settings: readonly string[]) {
    this.#folder = folder;
    this.#settings = settings;
  }

  static async open(folder: string): Promise<KubeletTraces> {
    return new KubeletTraces(folder, await Promise.all(kernelSettings.map((path) => readFile(path, 'utf8'))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeLinksInto(this.#folder);
    await rm(fixedPlace, { recursive: true, force: true });
    for (const [index, path] of kernelSettings.entries()) await writeFile(path, this.#settings[index] ?? '');
  }
}

/** A kubelet has one place for them on a machine, and takes them away only with their pods. */
async function removeLinksInto(folder: string): Promise<void> {
  for (const name of await readdir(logLinks).catch(() => [])) {
    const link = join(logLinks, name);
    const target = await readlink(link).catch(() => '');
    if (target.startsWith(`${folder}/`)) await rm(link, { force: true });
  }
}
