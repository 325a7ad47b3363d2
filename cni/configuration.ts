import type { Logger } from '../base/log.js';
import { loadConfigFolder, type ConfigProblem, type LoadedFolder, type LoadedNetwork } from './config-folder.js';
import { CniError } from './failure.js';
import { FolderWatch } from './folder-watch.js';

export type ConfigState =
  /** No file with a known ending in the folder. */
  | { readonly kind: 'none'; readonly reason: string }
  /** There are files and none of them can be used. */
  | { readonly kind: 'broken'; readonly reason: string; readonly problems: readonly ConfigProblem[] }
  | {
      readonly kind: 'ready';
      /** Of the first usable file in the order of names. */
      readonly defaultNetwork: string;
      readonly networks: ReadonlyArray<{
        readonly name: string;
        readonly file: string;
        readonly plugins: readonly string[];
      }>;
      /** Files that were set aside. */
      readonly problems: readonly ConfigProblem[];
    };

/** The networks of a folder, kept up to date by the kernel's file events. */
export class Configuration implements Disposable {
  readonly #folder: string;
  readonly #log: Logger;
  readonly #listeners = new Set<(state: ConfigState) => void>();
  readonly #watch = new FolderWatch(() => this.#wake());
  #networks: readonly LoadedNetwork[] = [];
  #state: ConfigState = { kind: 'none', reason: 'not read yet' };
  #stateText = '';
  #reloading: Promise<void> | undefined;
  #again = false;
  #closed = false;

  private constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  static async open(folder: string, log: Logger): Promise<Configuration> {
    const configuration = new Configuration(folder, log);
    configuration.#reloading = configuration.#reload();
    await configuration.#reloading;
    return configuration;
  }

  get state(): ConfigState {
    return this.#state;
  }

  /** Calls `listener` after each change; returns how to stop. */
  onChange(listener: (state: ConfigState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The network of that name, the default network without one. Throws `no-network` in words that say what to do. */
  network(name: string | undefined): LoadedNetwork {
    const found = name === undefined ? this.#networks[0] : this.#networks.find((network) => network.name === name);
    if (found !== undefined) return found;
    const state = this.#state;
    const reason = state.kind === 'ready' ? `there is no network ${name ?? ''} in ${this.#folder}` : state.reason;
    throw new CniError(`choose a network: ${reason}`, { code: 'no-network', network: name });
  }

  find(name: string): LoadedNetwork | undefined {
    return this.#networks.find((network) => network.name === name);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#watch[Symbol.dispose]();
    this.#listeners.clear();
  }

  #wake(): void {
    if (this.#reloading !== undefined) {
      this.#again = true;
      return;
    }
    this.#reloading = this.#reload();
  }

  async #reload(): Promise<void> {
    do {
      this.#again = false;
      this.#take(await this.#load());
    } while (this.#again && !this.#closed);
    this.#reloading = undefined;
  }

  /** Watch first and read then, so that no change falls in between; once more when the reading found more to watch. */
  async #load(): Promise<LoadedFolder> {
    let folders: readonly string[] = [this.#folder];
    for (;;) {
      await this.#watch.look(folders);
      const loaded = await loadConfigFolder(this.#folder);
      if (loaded.folders.every((folder) => folders.includes(folder))) return loaded;
      folders = loaded.folders;
    }
  }

  #take({ networks, problems }: LoadedFolder): void {
    if (this.#closed) return;
    this.#networks = networks;
    const state = stateOf(this.#folder, networks, problems);
    const text = JSON.stringify([state, networks.map((network) => network.list)]);
    if (text === this.#stateText) return;
    this.#stateText = text;
    this.#state = state;
    for (const problem of problems) this.#log.warn(problem, 'cni configuration file set aside');
    for (const listener of this.#listeners) listener(state);
  }
}

function stateOf(folder: string, networks: readonly LoadedNetwork[], problems: readonly ConfigProblem[]): ConfigState {
  const [first] = networks;
  if (first !== undefined) {
    const summaries = networks.map(({ name, file, plugins }) => ({ name, file, plugins: plugins.map((p) => p.type) }));
    return { kind: 'ready', defaultNetwork: first.name, networks: summaries, problems };
  }
  if (problems.length === 0) return { kind: 'none', reason: `no network configuration in ${folder}` };
  const reasons = problems.map(({ file, reason }) => `${file}: ${reason}`).join('; ');
  return { kind: 'broken', reason: `no usable network configuration in ${folder}: ${reasons}`, problems };
}
